package ledger

import (
	"slices"

	"github.com/backlot-video/backlot/kit/money"
)

// batch is what a Book has changed since Begin, and how to take it back.
type batch struct {
	known   map[string]*Transfer   // by idempotency key: found in the store, or added
	ids     map[string]*Transfer   // the same by id
	chains  map[string][]*Transfer // the same by chain, in order
	stored  map[*Transfer]bool     // those that were found
	added   []*Transfer
	ended   []*Transfer // of those that were found
	moves   []Move
	changed []*entry
	opened  []*entry

	restated []restated
	start    mark
	foreign  []string // accounts of other ledgers

	balances []balanceBefore
	states   []stateBefore
}

// Move is what an account's posted sums came to by one posting.
type Move struct{ Account, Sequence, Debits, Credits int64 }

type balanceBefore struct {
	entry   *entry
	balance Balance
}

type restated struct {
	entry  *entry
	before AccountState
}

type stateBefore struct {
	transfer *Transfer
	before   Transfer
}

// Changes are what a batch has come to, for the store. The slices are the
// book's, until Begin.
type Changes struct {
	Added      []*Transfer // new ones, in order, some perhaps ended already
	Ended      []*Transfer // that were pending before the batch
	Posted     []*Transfer // all that were posted, in the order of the chain
	Moves      []Move
	Held       []*Account // whose pending sums have changed, in whatever order
	Opened     []*Account // some perhaps also among the held
	Restated   []*Account // got another state
	Head       Head
	LastNumber int64
}

// Begin starts a new batch, without known transfers.
func (b *Book) Begin() {
	for _, e := range b.changed {
		e.changed = false
	}
	for _, id := range b.foreign {
		delete(b.accounts, id)
	}
	b.batch = batch{
		known: emptied(b.known), ids: emptied(b.ids), chains: emptied(b.chains), stored: emptied(b.stored),
		added: b.added[:0], ended: b.ended[:0], moves: b.moves[:0], changed: b.changed[:0], opened: b.opened[:0],
		balances: b.balances[:0], states: b.states[:0],
	}
	b.start = b.mark()
}

// maxKept is how many entries a map may have had to be used again: it keeps its
// size.
const maxKept = 4096

func emptied[K comparable, V any](m map[K]V) map[K]V {
	if m == nil || len(m) > maxKept {
		return make(map[K]V)
	}
	clear(m)
	return m
}

// Rollback takes back all since Begin, but still knows what it was told.
func (b *Book) Rollback() {
	for _, r := range b.restated {
		r.entry.State = r.before
	}
	b.restated = nil
	b.undo(b.start)
}

// Know tells the book of a transfer that is in the store. Those of one chain
// come in its order.
func (b *Book) Know(t Transfer) {
	if _, twice := b.ids[t.ID]; !twice {
		b.index(&t)
		b.stored[&t] = true
	}
}

// Known returns the transfer with this idempotency key as it is now, if it was
// told or added.
func (b *Book) Known(idempotencyKey string) (Transfer, bool) {
	t := b.known[idempotencyKey]
	if t == nil {
		return Transfer{}, false
	}
	return *t, true
}

func (b *Book) index(t *Transfer) {
	b.known[t.IdempotencyKey], b.ids[t.ID] = t, t
	if t.ChainID != "" {
		b.chains[t.ChainID] = append(b.chains[t.ChainID], t)
	}
}

// Changes tells what the batch has come to.
func (b *Book) Changes() Changes {
	c := Changes{Added: b.added, Ended: b.ended, Moves: b.moves, Head: b.head, LastNumber: b.numbers}
	for _, e := range b.changed {
		if e.Balance.DebitsPending != e.pending[0] || e.Balance.CreditsPending != e.pending[1] {
			c.Held = append(c.Held, &e.Account)
		}
	}
	for _, e := range b.opened {
		c.Opened = append(c.Opened, &e.Account)
	}
	for _, r := range b.restated {
		c.Restated = append(c.Restated, &r.entry.Account)
	}
	c.Posted = b.posted()
	return c
}

// Detached is a copy of the changes that stays as it is while the book goes on.
func (c Changes) Detached() Changes {
	c.Added, c.Ended, c.Moves = slices.Clone(c.Added), slices.Clone(c.Ended), slices.Clone(c.Moves)
	c.Held, c.Opened, c.Restated = copies(c.Held), copies(c.Opened), copies(c.Restated)
	return c
}

func copies(accounts []*Account) []*Account {
	all := make([]*Account, len(accounts))
	for i, account := range accounts {
		one := *account
		all[i] = &one
	}
	return all
}

// None tells whether there is nothing to write.
func (c *Changes) None() bool {
	return len(c.Added)+len(c.Ended)+len(c.Opened)+len(c.Restated) == 0
}

// posted merges what was added as posted and what was posted later, by
// sequence; a transfer that was added and then posted is among the added.
func (b *Book) posted() []*Transfer {
	first := b.head.Sequence
	for _, list := range [][]*Transfer{b.added, b.ended} {
		for _, t := range list {
			if t.State == Posted {
				first = min(first, t.Sequence-1)
			}
		}
	}
	all := make([]*Transfer, b.head.Sequence-first)
	for _, list := range [][]*Transfer{b.added, b.ended} {
		for _, t := range list {
			if t.State == Posted {
				all[t.Sequence-first-1] = t
			}
		}
	}
	return all
}

// mark is a place to go back to.
type mark struct {
	added, ended, moves, changed, opened, balances, states int
	head                                                   Head
	numbers                                                int64
}

func (b *Book) mark() mark {
	return mark{
		added: len(b.added), ended: len(b.ended), moves: len(b.moves), changed: len(b.changed), opened: len(b.opened),
		balances: len(b.balances), states: len(b.states), head: b.head, numbers: b.numbers,
	}
}

// touch remembers an account's balance before it changes.
func (b *Book) touch(e *entry) {
	if !e.changed {
		e.changed, e.pending = true, [2]money.Amount{e.Balance.DebitsPending, e.Balance.CreditsPending}
		b.changed = append(b.changed, e)
	}
	b.balances = append(b.balances, balanceBefore{e, e.Balance})
}

// ending remembers a transfer before it ends.
func (b *Book) ending(t *Transfer) {
	b.states = append(b.states, stateBefore{transfer: t, before: *t})
}

// undo takes back what was done since the mark.
func (b *Book) undo(to mark) {
	for i := len(b.balances) - 1; i >= to.balances; i-- {
		b.balances[i].entry.Balance = b.balances[i].balance
	}
	for i := len(b.states) - 1; i >= to.states; i-- {
		*b.states[i].transfer = b.states[i].before
	}
	for _, e := range b.changed[to.changed:] {
		e.changed = false
	}
	for _, t := range b.added[to.added:] {
		delete(b.known, t.IdempotencyKey)
		delete(b.ids, t.ID)
		delete(b.chains, t.ChainID) // a new chain has new transfers only
	}
	for _, e := range b.opened[to.opened:] {
		delete(b.accounts, e.ID)
		delete(b.named, Name{e.Purpose, e.OwnerID})
	}
	b.added, b.ended, b.moves = b.added[:to.added], b.ended[:to.ended], b.moves[:to.moves]
	b.changed, b.opened = b.changed[:to.changed], b.opened[:to.opened]
	b.balances, b.states = b.balances[:to.balances], b.states[:to.states]
	b.head, b.numbers = to.head, to.numbers
}
