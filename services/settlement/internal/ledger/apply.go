package ledger

import (
	"fmt"
	"time"
)

// Apply does the requests of one chain, all or none, and returns what came of
// each. Where one is refused, the others have ErrLinked. The requests must be
// valid, of the book's ledger, and the book know their accounts, unless these
// are to be opened, and what there is in the store of their idempotency keys,
// their targets and their targets' chains.
func (b *Book) Apply(requests []Request, at time.Time) []Result {
	results := b.Results(len(requests))
	b.ApplyInto(results, requests, at)
	return results
}

// ApplyInto is Apply with results of the caller's.
func (b *Book) ApplyInto(results []Result, requests []Request, at time.Time) {
	start := b.mark()
	c := chain{book: b, at: at, linked: len(requests) > 1}
	for i := range requests {
		t, repeated, err := c.do(&requests[i])
		if err == nil {
			results[i] = Result{Transfer: *t, Repeated: repeated}
			continue
		}
		b.undo(start)
		for j := range results {
			results[j] = Result{Err: ErrLinked}
		}
		results[i].Err = err
		return
	}
	for i := 0; c.linked && i < len(results); i++ { // a later request may have ended what an earlier one added
		if t := b.ids[results[i].Transfer.ID]; t != nil {
			results[i].Transfer = *t
		}
	}
}

// Expire voids a pending transfer, and its chain, if its time is over.
func (b *Book) Expire(id string, at time.Time) Result {
	t := b.ids[id]
	if t == nil {
		return Result{Err: ErrNotFound}
	}
	if t.State != Pending || !b.expired(t, at) {
		return Result{Transfer: *t, Repeated: true}
	}
	start := b.mark()
	if err := b.endAll(t, (*Book).Void, at); err != nil {
		b.undo(start)
		return Result{Err: err}
	}
	return Result{Transfer: *t}
}

// chain is the requests of one Apply.
type chain struct {
	book   *Book
	at     time.Time
	linked bool
	id     string // of the chain: the first transfer's
	known  bool   // whether it was booked before
}

// do does a request.
func (c *chain) do(r *Request) (t *Transfer, repeated bool, err error) {
	if r.Action == ActionBook || r.Action == ActionPend {
		return c.add(r)
	}
	return c.end(r)
}

// add does ActionBook and ActionPend.
func (c *chain) add(r *Request) (t *Transfer, repeated bool, err error) {
	known := c.book.known[r.Draft.IdempotencyKey]
	if known == nil {
		t, err = c.addNew(r)
		return t, false, err
	}
	if c.linked && c.id == "" {
		c.id, c.known = known.ID, true
	}
	if known.ChainID != c.id || !known.is(r, c.book) {
		return nil, false, &FieldError{"idempotency_key", fmt.Errorf("%w: %s", ErrConflict, known.ID)}
	}
	return known, true, nil
}

func (c *chain) addNew(r *Request) (*Transfer, error) {
	b, d := c.book, &r.Draft
	if c.known {
		return nil, &FieldError{"idempotency_key", fmt.Errorf("%w: %s was linked without this one", ErrConflict, c.id)}
	}
	t := b.transfer(len(d.Lines))
	t.ID, t.TenantID, t.Currency, t.Type, t.Reference = b.newID(), d.TenantID, d.Currency, d.Type, d.Reference
	t.XID, t.IdempotencyKey, t.SplitPolicy = d.XID, d.IdempotencyKey, d.SplitPolicy
	if d.Timeout > 0 {
		t.ExpiresAt = c.at.Add(d.Timeout)
	}
	if c.linked {
		if c.id == "" {
			c.id = t.ID
		}
		t.ChainID = c.id
	}
	before := b.mark()
	err := b.resolve(t, d)
	if err == nil {
		if r.Action == ActionBook {
			err = b.enter(t, c.at)
		} else {
			err = b.pend(t, c.at)
		}
	}
	if err != nil {
		b.undo(before)
		return nil, err
	}
	b.added = append(b.added, t)
	b.index(t)
	return t, nil
}

// resolve meets the accounts of a draft's lines, or opens them.
func (b *Book) resolve(t *Transfer, d *Draft) error {
	b.parties = b.parties[:0]
	for i := range d.Lines {
		line := &d.Lines[i]
		account, found := b.find(line)
		if !found {
			var err error
			if account, err = b.open(line, d.Currency); err != nil {
				return atPosting(i, "account", err)
			}
		}
		for j := range t.Postings[:i] {
			if t.Postings[j].AccountID == account.ID {
				return atPosting(i, "account", fmt.Errorf("%w: %s", ErrSameAccount, account.ID))
			}
		}
		t.Postings[i] = Posting{
			AccountID: account.ID, Side: line.Side, Amount: line.Amount, Purpose: account.Purpose, OwnerID: account.OwnerID,
		}
		b.parties = append(b.parties, account)
	}
	return nil
}

func (b *Book) find(line *Line) (*entry, bool) {
	if line.AccountID != "" {
		account, found := b.accounts[line.AccountID]
		return account, found
	}
	account, found := b.named[Name{line.Purpose, line.OwnerID}]
	return account, found
}

// open opens the account of a line.
func (b *Book) open(line *Line, currency string) (*entry, error) {
	if line.AccountID != "" {
		return nil, fmt.Errorf("%w: %s", ErrUnknownAccount, line.AccountID)
	}
	account, err := NewAccount(b.newID(), line.Purpose, line.OwnerID, currency)
	if err != nil {
		return nil, err
	}
	return b.openAccount(account), nil
}

// openAccount gives a new account its number.
func (b *Book) openAccount(account Account) *entry {
	b.numbers++
	account.Number = b.numbers
	b.AddAccount(account)
	e := b.accounts[account.ID]
	b.opened = append(b.opened, e)
	return e
}

// is tells whether a transfer is what a request asks for.
func (t *Transfer) is(r *Request, b *Book) bool {
	d := &r.Draft
	timeout := time.Duration(0)
	if !t.ExpiresAt.IsZero() {
		timeout = t.ExpiresAt.Sub(t.CreatedAt)
	}
	if t.TenantID != d.TenantID || t.Currency != d.Currency || t.Type != d.Type || t.Reference != d.Reference || t.XID != d.XID ||
		t.SplitPolicy != d.SplitPolicy || t.Pended != (r.Action == ActionPend) || timeout != d.Timeout || len(t.Postings) != len(d.Lines) {
		return false
	}
	for i := range d.Lines {
		line, posting := &d.Lines[i], &t.Postings[i]
		if line.Side != posting.Side || line.Amount != posting.Amount {
			return false
		}
		account, found := b.find(line)
		if !found || account.ID != posting.AccountID {
			return false
		}
	}
	return true
}

// end does ActionPost and ActionVoid.
func (c *chain) end(r *Request) (t *Transfer, repeated bool, err error) {
	b := c.book
	t = b.ids[r.Target.ID]
	if r.Target.ID == "" {
		t = b.known[r.Target.IdempotencyKey]
	}
	if t == nil {
		return nil, false, &FieldError{"target", ErrNotFound}
	}
	final, step := Posted, (*Book).Post
	if r.Action == ActionVoid {
		final, step = Voided, (*Book).Void
	}
	switch {
	case t.State == final:
		return t, true, nil
	case t.State != Pending && t.Expired(), t.State == Pending && final == Posted && b.expired(t, c.at):
		return nil, false, &FieldError{"target", fmt.Errorf("%w: %s", ErrExpired, t.ID)}
	case t.State != Pending:
		return nil, false, &FieldError{"target", fmt.Errorf("%w: %s is %v", ErrState, t.ID, t.State)}
	}
	return t, false, b.endAll(t, step, c.at)
}

// expired tells whether the time of a pending transfer, or of another one of
// its chain, is over.
func (b *Book) expired(t *Transfer, at time.Time) bool {
	over := func(t *Transfer) bool {
		return t.State == Pending && !t.ExpiresAt.IsZero() && !at.Before(t.ExpiresAt)
	}
	for _, other := range b.chains[t.ChainID] {
		if over(other) {
			return true
		}
	}
	return over(t)
}

// endAll ends a pending transfer and the pending ones of its chain.
func (b *Book) endAll(t *Transfer, step func(*Book, *Transfer, time.Time) error, at time.Time) error {
	all := []*Transfer{t}
	if t.ChainID != "" {
		all = b.chains[t.ChainID]
	}
	for _, one := range all {
		if one.State != Pending {
			continue
		}
		b.ending(one)
		if err := step(b, one, at); err != nil {
			return fmt.Errorf("end transfer %s: %w", one.ID, err)
		}
		if b.stored[one] {
			b.ended = append(b.ended, one)
		}
	}
	return nil
}
