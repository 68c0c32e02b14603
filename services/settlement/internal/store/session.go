package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// ErrMoved means that a row was not as the holder of its ledger knew it.
var ErrMoved = errors.New("the ledger has moved")

// Session is one batch at one ledger, in one transaction.
type Session struct {
	Tx    *sql.Tx
	store *Store
	q     *settlementdb.Queries
	rows  rows
}

// rows reads and writes many rows at once.
type rows interface {
	named(ctx context.Context, l Ledger, names []ledger.Name) ([]ledger.Account, error)
	accounts(ctx context.Context, l Ledger, ids []string) ([]ledger.Account, error)
	byKey(ctx context.Context, l Ledger, keys []string) ([]stored, error)
	// write writes a batch, and reports false where an id or idempotency key
	// was taken: then the transaction must not commit.
	write(ctx context.Context, l Ledger, w *written) (bool, error)
}

// Ledger is the row of a ledger that a Session holds.
type Ledger struct {
	Number             int64
	TenantID, Currency string
	Version            int64 // of this batch
	LastAccount        int64 // the last number that an account got
	Head               ledger.Head
	UpdatedAt          time.Time // of the last batch
	Unsorted           int64     // moves that are in no run, and are not being sorted
	progress           progress  // in sorting
	step               step      // that this batch does
}

// After is a ledger as it is after changes at a time, and after what the batch
// does to sort its moves.
func (s *Store) After(l Ledger, changes ledger.Changes, at time.Time) Ledger {
	l.LastAccount, l.Head, l.UpdatedAt = changes.LastNumber, changes.Head, at
	l.Unsorted += int64(len(changes.Moves))
	s.sort(&l)
	return l
}

// Lock holds a ledger until the transaction ends. A new one begins empty.
func (s *Session) Lock(ctx context.Context, tenantID, currency string) (Ledger, error) {
	for range 8 { // others may take the number that is to be the new one's
		row, err := s.q.LockLedger(ctx, settlementdb.LockLedgerParams{TenantID: tenantID, Currency: currency})
		if err == nil {
			return Ledger{
				Number: row.Number, TenantID: tenantID, Currency: currency, Version: row.Version, LastAccount: row.Accounts,
				Head: ledger.Head{Sequence: row.Sequence, Hash: digest(row.Hash)}, UpdatedAt: timeOf(row.UpdatedAt),
				Unsorted: row.UnsortedMoves,
				progress: progress{row.SortedTo, row.SortingTo, row.SortingAccount, row.SortingSequence},
			}, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return Ledger{}, fmt.Errorf("lock ledger %s: %w", currency, err)
		}
		_, err = s.q.AddLedger(ctx, settlementdb.AddLedgerParams{
			TenantID: tenantID, Currency: currency, Genesis: make([]byte, len(ledger.Head{}.Hash)),
		})
		if err != nil {
			return Ledger{}, fmt.Errorf("add ledger %s: %w", currency, err)
		}
	}
	return Ledger{}, fmt.Errorf("add ledger %s: its number is always taken", currency)
}

// Named returns the accounts that exist of purposes and owners.
func (s *Session) Named(ctx context.Context, l Ledger, names []ledger.Name) ([]ledger.Account, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return s.rows.named(ctx, l, names)
}

// Accounts returns the accounts that exist of these ids, of whatever currency.
func (s *Session) Accounts(ctx context.Context, l Ledger, ids []string) ([]ledger.Account, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.rows.accounts(ctx, l, ids)
}

// Transfers returns the transfers that exist of these idempotency keys and
// ids, of whatever currency, and those that they are linked with, in order.
func (s *Session) Transfers(ctx context.Context, l Ledger, keys, ids []string) ([]ledger.Transfer, error) {
	var found []stored
	if len(keys) > 0 {
		var err error
		if found, err = s.rows.byKey(ctx, l, keys); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		one, err := byID(ctx, s.q, l.TenantID, id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	all, chains := make([]stored, 0, len(found)), make(map[string]bool)
	for _, one := range found {
		if one.ChainID == "" {
			all = append(all, one)
			continue
		}
		if chains[one.ChainID] {
			continue
		}
		chains[one.ChainID] = true
		rows, err := s.q.ListLinked(ctx, settlementdb.ListLinkedParams{TenantID: l.TenantID, ChainID: one.ChainID})
		linked, err := decodeRows(rows, err)
		if err != nil {
			return nil, err
		}
		all = append(all, linked...)
	}
	return s.store.named(ctx, s.q, all)
}

// written is what a batch writes.
type written struct {
	ledger.Changes
	at       time.Time
	facts    []Fact
	unlocked bool // the ledger's row is still to be held

	// Each of Added is in a block, or a row.
	packed     []*ledger.Transfer // those in blocks
	places     []int64            // of each of Added: where it is in the chain, if it is in a block
	referenced []*ledger.Transfer // those in blocks that have a reference
	rows       []*ledger.Transfer
	postings   []string // of each row

	// What prepare makes.
	blocks []block
	moves  []byte
	byKey  []int // of Added, in the order of their idempotency keys
	keys   []any // on SQLite: of each of Added its idempotency key and its place, by key
}

func newWritten(l Ledger, book *ledger.Book, changes ledger.Changes) written {
	w := written{Changes: changes, at: l.UpdatedAt}
	w.divide(func(id string) int64 {
		account, _ := book.Account(id)
		return account.Number
	})
	return w
}

// prepare encodes what is written. It needs no book.
func (w *written) prepare(l Ledger) {
	base := l.Number << 32
	w.pack(base)
	if len(w.Moves) > 0 {
		w.moves = encodeMoves(base, w.Moves[0].Sequence, w.Moves)
	}
}

// sortKeys makes byKey. In their own order most go to the end of the table: pages
// split seldom, and in the order of the file. Otherwise SQLite looks through all
// that it has cached at each commit, and PostgreSQL goes to and fro in its index.
func (w *written) sortKeys() {
	w.byKey = make([]int, len(w.Added))
	for i := range w.byKey {
		w.byKey[i] = i
	}
	slices.SortFunc(w.byKey, func(a, b int) int { return strings.Compare(w.Added[a].IdempotencyKey, w.Added[b].IdempotencyKey) })
}

func (s *Store) prepare(l Ledger, w *written) {
	w.prepare(l)
	w.sortKeys()
	if s.db.Dialect() == database.SQLite {
		w.bindKeys()
	}
}

// Write writes what a batch has come to. It reports false where an id or an
// idempotency key was taken: then the transaction must not commit.
func (s *Session) Write(ctx context.Context, b *Batch, facts []Fact) (bool, error) {
	s.store.prepare(b.ledger, &b.written)
	b.written.facts = facts
	return s.write(ctx, b.ledger, &b.written)
}

func (s *Session) write(ctx context.Context, l Ledger, w *written) (bool, error) {
	for _, account := range w.Restated {
		n, err := s.q.SetAccountState(ctx, settlementdb.SetAccountStateParams{
			State: int32(account.State), TenantID: l.TenantID, ID: account.ID,
		})
		if err == nil && n != 1 {
			err = ErrMoved
		}
		if err != nil {
			return false, err
		}
	}
	return s.rows.write(ctx, l, w)
}

// Batch is what a batch has come to. It refers to no book.
type Batch struct {
	ledger  Ledger
	written written
}

// NewBatch makes a Batch of changes, which are detached where the book does
// more before it is written. The ledger is as After has it.
func NewBatch(l Ledger, book *ledger.Book, changes ledger.Changes) *Batch {
	return &Batch{ledger: l, written: newWritten(l, book, changes)}
}

// Turn is how a batch and the one before it, which may not be committed yet,
// keep their order.
type Turn struct {
	Await func() error // returns when the one before is committed, or an error
	Held  func()       // is called, at most once, when only its ledger and the commit are left: the next one may begin
}

// WriteAhead writes a batch that was made without Lock, in a transaction of its
// own. It returns ErrMoved, or false, where others have written since the batch
// before; then nothing is written.
func (s *Store) WriteAhead(ctx context.Context, b *Batch, facts []Fact, turn Turn) (fresh bool, err error) {
	b.written.facts, b.written.unlocked = facts, true
	s.prepare(b.ledger, &b.written)
	if s.db.Dialect() == database.PostgreSQL && len(b.written.Restated) == 0 {
		return s.overlap(ctx, b, turn)
	}
	if err := turn.Await(); err != nil {
		return false, err
	}
	err = s.Write(ctx, func(ctx context.Context, session *Session) error {
		fresh, err = session.write(ctx, b.ledger, &b.written)
		if err == nil && !fresh {
			err = errStaleKey
		}
		if err == nil {
			turn.Held()
		}
		return err
	})
	if errors.Is(err, errStaleKey) {
		return false, nil
	}
	return fresh, err
}

// errStaleKey rolls a transaction back.
var errStaleKey = errors.New("an id or idempotency key is taken")
