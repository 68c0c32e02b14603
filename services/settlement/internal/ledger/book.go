package ledger

import (
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// Book applies transfers to a set of accounts of one ledger, and remembers what
// has changed since Begin. A step that returns an error has changed neither
// the accounts nor the transfer.
type Book struct {
	accounts map[string]*entry // by id
	named    map[Name]*entry
	numbers  int64 // the last that an account got
	head     Head
	newID    func() string
	batch
	memory
	parties []*entry // accounts of the transfer that is being booked, by posting
	text    []byte   // memory of the hash
}

// Name is how a line names an account other than by id.
type Name struct {
	Purpose Purpose
	OwnerID string
}

// entry is an account in a book.
type entry struct {
	Account
	changed bool            // since Begin
	pending [2]money.Amount // debits and credits before it changed
	foreign bool            // of another ledger: no transfer of this one may name it
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
	b := &Book{accounts: make(map[string]*entry, len(accounts)), named: make(map[Name]*entry, len(accounts)), head: head}
	for _, account := range accounts {
		b.AddAccount(account)
	}
	b.Begin()
	return b
}

// Continue has the book go on where another writer has left the ledger:
// accounts that it opens get the numbers after the last, and ids of newID.
func (b *Book) Continue(head Head, lastNumber int64, newID func() string) {
	b.head, b.numbers, b.newID = head, lastNumber, newID
}

// AddAccount adds an account as it is stored.
func (b *Book) AddAccount(account Account) {
	e := &entry{Account: account}
	b.accounts[account.ID] = e
	b.named[Name{account.Purpose, account.OwnerID}] = e
}

// AddForeign tells the book of an account of another ledger of its tenant,
// until the next Begin.
func (b *Book) AddForeign(account Account) {
	b.accounts[account.ID] = &entry{Account: account, foreign: true}
	b.foreign = append(b.foreign, account.ID)
}

// Account returns the account as it is now.
func (b *Book) Account(id string) (Account, bool) {
	account, found := b.accounts[id]
	if !found {
		return Account{}, false
	}
	return account.Account, true
}

// Named returns the account of a purpose and an owner as it is now.
func (b *Book) Named(name Name) (Account, bool) {
	account, found := b.named[name]
	if !found {
		return Account{}, false
	}
	return account.Account, true
}

// Holds tells whether the book has all accounts of a draft.
func (b *Book) Holds(d *Draft) bool {
	for i := range d.Lines {
		if account, found := b.find(&d.Lines[i]); !found || account.foreign {
			return false
		}
	}
	return true
}

// Len is how many accounts the book holds.
func (b *Book) Len() int { return len(b.accounts) }

// Forget drops accounts, any ones, until limit are left, and reports how many
// it dropped. None may have changed since Begin.
func (b *Book) Forget(limit int) (dropped int) {
	for id, e := range b.accounts {
		if len(b.accounts) <= limit {
			break
		}
		delete(b.accounts, id)
		delete(b.named, Name{e.Purpose, e.OwnerID})
		dropped++
	}
	return dropped
}

// Head is the end of the chain as it is now.
func (b *Book) Head() Head { return b.head }

// LastNumber is the last number that an account got.
func (b *Book) LastNumber() int64 { return b.numbers }

// Enter books a new transfer that is posted at once. It returns what Pend
// returns.
func (b *Book) Enter(t *Transfer, at time.Time) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if err := b.meet(t); err != nil {
		return err
	}
	return b.enter(t, at)
}

// enter books what Enter does, whose accounts are met.
func (b *Book) enter(t *Transfer, at time.Time) error {
	err := b.change(t, func(account *Account, posting *Posting) error {
		posted, pending := account.sums(posting.Side)
		sum, err := posted.Add(posting.Amount)
		if err != nil {
			return err
		}
		if _, err := sum.Add(*pending); err != nil {
			return err
		}
		*posted = sum
		return account.takes(posting)
	})
	if err != nil {
		return err
	}
	t.State, t.CreatedAt, t.EndedAt = Posted, at, at
	b.link(t)
	return nil
}

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
	if err := b.meet(t); err != nil {
		return err
	}
	return b.pend(t, at)
}

// pend books what Pend does, whose accounts are met.
func (b *Book) pend(t *Transfer, at time.Time) error {
	err := b.change(t, func(account *Account, posting *Posting) error {
		posted, pending := account.sums(posting.Side)
		sum, err := pending.Add(posting.Amount)
		if err != nil {
			return err
		}
		if _, err := posted.Add(sum); err != nil {
			return err
		}
		*pending = sum
		return account.takes(posting)
	})
	if err != nil {
		return err
	}
	t.State, t.CreatedAt, t.Pended = Pending, at, true
	return nil
}

// takes refuses a new posting that is already in the balance.
func (a *Account) takes(posting *Posting) error {
	if a.State > Open {
		return fmt.Errorf("%w: %s is %v", ErrAccountState, a.ID, a.State)
	}
	if posting.Side == a.NormalSide {
		return nil
	}
	return a.covered()
}

// Post makes a pending transfer final and adds it to the chain.
func (b *Book) Post(t *Transfer, at time.Time) error {
	if t.State != Pending {
		return fmt.Errorf("post transfer %s: %w: %v", t.ID, ErrState, t.State)
	}
	if err := b.meet(t); err != nil {
		return err
	}
	err := b.change(t, func(account *Account, posting *Posting) error {
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
	t.State, t.EndedAt = Posted, at
	b.link(t)
	return nil
}

// link adds a posted transfer, whose accounts are met, to the chain.
func (b *Book) link(t *Transfer) {
	t.Sequence = b.head.Sequence + 1
	t.Hash, b.text = hashInto(b.text, b.head, t)
	b.head = Head{Sequence: t.Sequence, Hash: t.Hash}
	for _, account := range b.parties {
		b.moves = append(b.moves, Move{
			Account: account.Number, Sequence: t.Sequence,
			Debits: account.Balance.DebitsPosted.Minor, Credits: account.Balance.CreditsPosted.Minor,
		})
	}
}

// Void ends a pending transfer without effect.
func (b *Book) Void(t *Transfer, at time.Time) error {
	if t.State != Pending {
		return fmt.Errorf("void transfer %s: %w: %v", t.ID, ErrState, t.State)
	}
	if err := b.meet(t); err != nil {
		return err
	}
	err := b.change(t, func(account *Account, posting *Posting) error {
		_, pending := account.sums(posting.Side)
		rest, err := release(*pending, posting.Amount)
		if err != nil {
			return err
		}
		*pending = rest
		return nil
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

// meet finds the accounts of a transfer.
func (b *Book) meet(t *Transfer) error {
	b.parties = b.parties[:0]
	for i := range t.Postings {
		account, known := b.accounts[t.Postings[i].AccountID]
		if !known {
			return atPosting(i, "account_id", fmt.Errorf("%w: %s", ErrUnknownAccount, t.Postings[i].AccountID))
		}
		b.parties = append(b.parties, account)
	}
	return nil
}

// change applies step to each posting's account, as they are met, and takes all
// back where one fails.
func (b *Book) change(t *Transfer, step func(*Account, *Posting) error) error {
	mark := b.mark()
	for i := range t.Postings {
		posting, account := &t.Postings[i], b.parties[i]
		var err error
		if account.Currency != posting.Amount.Currency {
			err = fmt.Errorf("%w: %s of an account in %s", money.ErrCurrency, posting.Amount.Currency, account.Currency)
		} else {
			b.touch(account)
			err = step(&account.Account, posting)
		}
		if err != nil {
			b.undo(mark)
			return atPosting(i, "amount", err)
		}
	}
	return nil
}
