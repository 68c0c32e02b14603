package ledger

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/money"
)

var (
	// ErrAccount means an account that does not exist or cannot take part.
	ErrAccount = errors.New("unusable account")
	// ErrUnknownAccount means that there is no such account. It is an ErrAccount.
	ErrUnknownAccount = fmt.Errorf("%w: unknown account", ErrAccount)
	// ErrAccountState means a frozen or closed account. It is an ErrAccount.
	ErrAccountState = fmt.Errorf("%w: account is not open", ErrAccount)
	// ErrInsufficientFunds means that an account would fall below zero.
	ErrInsufficientFunds = errors.New("insufficient funds")
)

// Side is one side of the books. The numbers are stored and hashed.
type Side int

// The sides.
const (
	Debit  Side = 1
	Credit Side = 2
)

func (s Side) String() string {
	switch s {
	case Debit:
		return "debit"
	case Credit:
		return "credit"
	default:
		return fmt.Sprintf("side(%d)", int(s))
	}
}

// Purpose is what an account is for.
type Purpose string

// The purposes.
const (
	Wallet   Purpose = "wallet"   // what a person may spend; the house owes it
	Earnings Purpose = "earnings" // what a creator has earned; the house owes it
	Platform Purpose = "platform" // the house's own income
	Tax      Purpose = "tax"      // tax that the house owes
	Clearing Purpose = "clearing" // money at the payment provider
	// Receivable is what a person owes the house: money that a refund took back
	// after it was paid out.
	Receivable Purpose = "receivable"
)

// kinds gives each purpose its normal side, whether its balance may fall below
// zero, and whether it belongs to a person. Clearing may: a provider pays out
// after the fact.
var kinds = map[Purpose]struct {
	side      Side
	overdraft bool
	personal  bool
}{
	Wallet:   {side: Credit, personal: true},
	Earnings: {side: Credit, personal: true},
	Platform: {side: Credit},
	Tax:      {side: Credit},
	Clearing: {side: Debit, overdraft: true},

	Receivable: {side: Debit, personal: true},
}

// AccountState is whether an account takes part in new transfers. The numbers
// are stored.
type AccountState int

// The states. What is pending in an account that is not open may still be
// posted or voided. Closed is final.
const (
	Open   AccountState = 1
	Frozen AccountState = 2
	Closed AccountState = 3
)

func (s AccountState) String() string {
	switch s {
	case Open:
		return "open"
	case Frozen:
		return "frozen"
	case Closed:
		return "closed"
	default:
		return fmt.Sprintf("state(%d)", int(s))
	}
}

// Account holds one owner's money for one purpose in one currency.
type Account struct {
	ID         string
	Number     int64 // its short name in the store; 0 where it has none yet
	State      AccountState
	Purpose    Purpose
	OwnerID    string // empty for the house's own
	Currency   string
	NormalSide Side // the side on which its balance is positive
	Overdraft  bool // whether its balance may fall below zero
	Balance    Balance
}

// Balance is the sums of an account's postings, none below zero. Pending are
// those of transfers that are neither posted nor voided.
type Balance struct {
	DebitsPosted, CreditsPosted   money.Amount
	DebitsPending, CreditsPending money.Amount
}

// NewAccount makes an empty account, or returns ErrAccount for an unknown
// purpose or an owner that does not fit it, or money.ErrCurrency.
func NewAccount(id string, purpose Purpose, ownerID, currency string) (Account, error) {
	kind, known := kinds[purpose]
	if !known {
		return Account{}, fmt.Errorf("%w: purpose %q", ErrAccount, purpose)
	}
	if kind.personal != (ownerID != "") {
		return Account{}, fmt.Errorf("%w: purpose %q with owner %q", ErrAccount, purpose, ownerID)
	}
	zero := money.Amount{Currency: currency}
	if err := zero.Validate(); err != nil {
		return Account{}, err
	}
	return Account{
		ID: id, State: Open, Purpose: purpose, OwnerID: ownerID, Currency: currency,
		NormalSide: kind.side, Overdraft: kind.overdraft, Balance: ZeroBalance(currency),
	}, nil
}

// ZeroBalance is the balance of an account without postings.
func ZeroBalance(currency string) Balance {
	zero := money.Amount{Currency: currency}
	return Balance{DebitsPosted: zero, CreditsPosted: zero, DebitsPending: zero, CreditsPending: zero}
}

// Available is what may leave the account: posted on its normal side, less
// what is posted and pending on the other. Pending income does not count.
func (a Account) Available() (money.Amount, error) {
	in, out, pending := a.Balance.CreditsPosted, a.Balance.DebitsPosted, a.Balance.DebitsPending
	if a.NormalSide == Debit {
		in, out, pending = a.Balance.DebitsPosted, a.Balance.CreditsPosted, a.Balance.CreditsPending
	}
	rest, err := in.Sub(out)
	if err != nil {
		return money.Amount{}, err
	}
	return rest.Sub(pending)
}

// Held is what pending transfers take out of the account.
func (a Account) Held() money.Amount {
	if a.NormalSide == Debit {
		return a.Balance.CreditsPending
	}
	return a.Balance.DebitsPending
}

// sums are the posted and pending sums of one side.
func (a *Account) sums(side Side) (posted, pending *money.Amount) {
	if side == Debit {
		return &a.Balance.DebitsPosted, &a.Balance.DebitsPending
	}
	return &a.Balance.CreditsPosted, &a.Balance.CreditsPending
}

// covered refuses an account that has fallen below zero.
func (a Account) covered() error {
	if a.Overdraft {
		return nil
	}
	available, err := a.Available()
	if err != nil {
		return err
	}
	if available.Sign() >= 0 {
		return nil
	}
	short, err := available.Neg()
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s is short of %s", ErrInsufficientFunds, a.Purpose, short)
}
