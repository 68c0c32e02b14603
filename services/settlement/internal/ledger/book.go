package ledger

import (
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// Book applies transfers to a set of accounts of one ledger. A step that
// returns an error has changed neither the accounts nor the transfer.
type Book struct {
	accounts map[string]*Account
	head     Head
}

// Head is the end of a ledger's chain. The zero value is that of a ledger
// without posted transfers.
type Head struct {
	Sequence int64
	Hash     [32]byte
}

// NewBook opens a book over copies of the accounts, which must include all
// that the transfers to come name.
func NewBook(head Head, accounts ...Account) *Book {
	b := &Book{accounts: make(map[string]*Account, len(accounts)), head: head}
	for _, account := range accounts {
		b.accounts[account.ID] = &account
	}
	return b
}

// Account returns the account as it is now.
func (b *Book) Account(id string) (Account, bool) {
	account, found := b.accounts[id]
	if !found {
		return Account{}, false
	}
	return *account, true
}

// Head is the end of the chain as it is now.
func (b *Book) Head() Head { return b.head }

// Pend books a new transfer as pending: what leaves an account is no longer
// available, what comes in is not yet. It returns ErrInsufficientFunds where
// an account is short, or another error for an invalid transfer.
//
// It refuses what could overflow at Post, so that Post of a pending transfer
// always succeeds.
func (b *Book) Pend(t *Transfer, at time.Time) error {
	if err := t.Validate(); err != nil {
		return err
	}
	err := b.change(t.Postings, func(account *Account, posting Posting) error {
		posted, pending := account.sums(posting.Side)
		sum, err := pending.Add(posting.Amount)
		if err != nil {
			return err
		}
		if _, err := posted.Add(sum); err != nil {
			return err
		}
		*pending = sum
		if posting.Side == account.NormalSide {
			return nil
		}
		return account.covered()
	})
	if err != nil {
		return err
	}
	t.State, t.CreatedAt = Pending, at
	return nil
}

// Post makes a pending transfer final and adds it to the chain.
func (b *Book) Post(t *Transfer, at time.Time) error {
	if t.State != Pending {
		return fmt.Errorf("post transfer %s: %w: %v", t.ID, ErrState, t.State)
	}
	err := b.change(t.Postings, func(account *Account, posting Posting) error {
		posted, pending := account.sums(posting.Side)
		rest, err := release(*pending, posting.Amount)
		if err != nil {
			return err
		}
		sum, err := posted.Add(posting.Amount)
		if err != nil {
			return err
		}
		*posted, *pending = sum, rest
		return nil
	})
	if err != nil {
		return err
	}
	t.State, t.EndedAt, t.Sequence = Posted, at, b.head.Sequence+1
	t.Hash = Hash(b.head, *t)
	b.head = Head{Sequence: t.Sequence, Hash: t.Hash}
	return nil
}

// Void ends a pending transfer without effect.
func (b *Book) Void(t *Transfer, at time.Time) error {
	if t.State != Pending {
		return fmt.Errorf("void transfer %s: %w: %v", t.ID, ErrState, t.State)
	}
	err := b.change(t.Postings, func(account *Account, posting Posting) error {
		_, pending := account.sums(posting.Side)
		rest, err := release(*pending, posting.Amount)
		*pending = rest
		return err
	})
	if err != nil {
		return err
	}
	t.State, t.EndedAt = Voided, at
	return nil
}

func release(pending, amount money.Amount) (money.Amount, error) {
	rest, err := pending.Sub(amount)
	if err == nil && rest.Sign() < 0 {
		return money.Amount{}, fmt.Errorf("%w: releases %v of %v pending", ErrTransfer, amount, pending)
	}
	return rest, err
}

// change applies step to a copy of each posting's account, and keeps the
// copies if all went well. No account has two postings.
func (b *Book) change(postings []Posting, step func(*Account, Posting) error) error {
	changed := make([]Account, 0, len(postings))
	for i, posting := range postings {
		found, known := b.accounts[posting.AccountID]
		if !known {
			return fmt.Errorf("%w: postings[%d]: no account %s", ErrAccount, i, posting.AccountID)
		}
		account := *found
		if account.Currency != posting.Amount.Currency {
			return fmt.Errorf("postings[%d]: %w: %s of an account in %s",
				i, money.ErrCurrency, posting.Amount.Currency, account.Currency)
		}
		if err := step(&account, posting); err != nil {
			return err
		}
		changed = append(changed, account)
	}
	for _, account := range changed {
		*b.accounts[account.ID] = account
	}
	return nil
}
