package ledger

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/money"
)

// AccountSpec asks for an account.
type AccountSpec struct {
	ID       string // unique within the tenant; empty for one that is made up
	Purpose  Purpose
	OwnerID  string
	Currency string
	// NormalSide and Overdraft are those of the purpose where it is one of the
	// house's (Wallet and so on), and else as they are given.
	NormalSide Side
	Overdraft  bool
}

// Account makes an empty account of this id. It returns a *FieldError with
// ErrAccount or money.ErrCurrency.
func (s AccountSpec) Account(id string) (Account, error) {
	for _, text := range [...]struct{ field, value string }{
		{"id", id}, {"purpose", string(s.Purpose)}, {"owner_id", s.OwnerID},
	} {
		if err := checkText(text.field, text.value); err != nil {
			return Account{}, err
		}
	}
	if err := (money.Amount{Currency: s.Currency}).Validate(); err != nil {
		return Account{}, &FieldError{"currency", err}
	}
	kind, house := kinds[s.Purpose]
	switch {
	case s.Purpose == "":
		return Account{}, &FieldError{"purpose", fmt.Errorf("%w: it is missing", ErrAccount)}
	case house && s.NormalSide != 0 && s.NormalSide != kind.side:
		return Account{}, &FieldError{"normal_side", fmt.Errorf("%w: that of %s is %v", ErrAccount, s.Purpose, kind.side)}
	case house && s.Overdraft && !kind.overdraft:
		return Account{}, &FieldError{"overdraft", fmt.Errorf("%w: not for %s", ErrAccount, s.Purpose)}
	case house:
		account, err := NewAccount(id, s.Purpose, s.OwnerID, s.Currency)
		if err != nil {
			return Account{}, &FieldError{"owner_id", err}
		}
		return account, nil
	case s.NormalSide != Debit && s.NormalSide != Credit:
		return Account{}, &FieldError{"normal_side", fmt.Errorf("%w: %v", ErrAccount, s.NormalSide)}
	}
	return Account{
		ID: id, State: Open, Purpose: s.Purpose, OwnerID: s.OwnerID, Currency: s.Currency,
		NormalSide: s.NormalSide, Overdraft: s.Overdraft, Balance: ZeroBalance(s.Currency),
	}, nil
}

// AccountResult is what came of an AccountSpec.
type AccountResult struct {
	Account  Account
	Repeated bool // it existed, as it was asked for
	Err      error
}

// Open opens an account. One that exists and is the same is returned; one that
// differs gives ErrConflict. The book must know what there is in the store of
// this id and this owner and purpose.
func (b *Book) Open(spec AccountSpec) AccountResult {
	id := spec.ID
	if id == "" {
		id = b.newID()
	}
	account, err := spec.Account(id)
	if err != nil {
		return AccountResult{Err: err}
	}
	byID := b.accounts[id]
	byName := b.named[Name{spec.Purpose, spec.OwnerID}]
	switch {
	case byID == nil && byName == nil:
		return AccountResult{Account: b.openAccount(account).Account}
	case byName == nil || spec.ID != "" && byID != byName:
		return AccountResult{Err: &FieldError{"id", fmt.Errorf("%w: the account, or one of this owner and purpose, is another", ErrConflict)}}
	case byName.NormalSide != account.NormalSide || byName.Overdraft != account.Overdraft || byName.Currency != account.Currency:
		return AccountResult{Err: &FieldError{"normal_side", fmt.Errorf("%w: account %s differs", ErrConflict, byName.ID)}}
	}
	return AccountResult{Account: byName.Account, Repeated: true}
}

// ErrNotEmpty means an account that cannot be closed because it holds
// something.
var ErrNotEmpty = errors.New("account is not empty")

// Restate freezes, opens again or closes an account. Only an account whose
// postings sum to zero, with nothing pending, may be closed.
func (b *Book) Restate(id string, state AccountState) (Account, error) {
	account, found := b.accounts[id]
	if !found || account.foreign {
		return Account{}, &FieldError{"account_id", fmt.Errorf("%w: %s", ErrUnknownAccount, id)}
	}
	if state < Open || state > Closed {
		return Account{}, &FieldError{"state", fmt.Errorf("%w: %v", ErrAccount, state)}
	}
	balance := account.Balance
	switch {
	case account.State == state:
		return account.Account, nil
	case account.State == Closed:
		return Account{}, &FieldError{"state", fmt.Errorf("%w: %s is closed", ErrAccountState, id)}
	case state == Closed && (balance.DebitsPosted != balance.CreditsPosted || !balance.DebitsPending.IsZero() || !balance.CreditsPending.IsZero()):
		return Account{}, &FieldError{"state", fmt.Errorf("%w: %v", ErrNotEmpty, balance)}
	}
	b.restated = append(b.restated, restated{account, account.State})
	account.State = state
	return account.Account, nil
}
