// Package store keeps ledgers in SQL, one code for SQLite and PostgreSQL
// except where batches are read and written.
//
//	store.go     Store
//	session.go   Session: one batch at one ledger, in one transaction
//	sqlite.go    a batch on SQLite: statements of many rows
//	postgres.go  a batch on PostgreSQL: an array for each column
//	copy.go      its transfers that are rows, and all keys, by COPY
//	send.go      statements that go there in one round trip
//	overlap.go   a batch that goes there while the one before is committed
//	block.go     many transfers as one value
//	blocks.go    finding them, and lists of those and of rows
//	posted.go    what a batch posts, and finding it by its places
//	read.go      reading accounts and transfers
//	moves.go     moves of batches, and the runs that they are sorted into
//	sorting.go   what each batch does to sort them
//	sorter.go    making runs
//	tail.go      what is not sorted yet, by account
//	history.go   postings of an account, balances as of a time
//	statement.go payout.go reconciliation.go match.go  what is kept beside the ledgers
//	verify.go    giving a whole ledger to a ledger.Verifier
//	chain.go     its transfers, wherever they are, and their keys
//	reference.go what leads to them by their references
//	encode.go    rows to and from the ledger's types
//
// All that a batch does is written in one transaction: transfers, balances,
// the end of the chain, the facts for the outbox. Transfers that were posted when
// they were booked are packed in blocks, others are rows. What was posted to accounts is
// written as one row of moves, which is sorted by account once there are many, a
// step in each of the batches that follow: who reads an account looks at its runs,
// and at what comes after them. A batch holds the row of its
// ledger (tenant, currency) until it commits, so a ledger has one writer at a
// time, whatever the number of processes; the row's version tells a writer
// whether others have written since. What may be booked is package ledger's to
// say, and who forms batches is package engine.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// ErrNotFound means that there is no such transfer, account or other thing.
var ErrNotFound = ledger.ErrNotFound

// Fact is one for the outbox.
type Fact struct {
	ID       string
	Envelope []byte
}

// Store keeps ledgers. It is safe for concurrent use.
type Store struct {
	db       *database.DB
	names    names
	tails    tails
	plans    plans
	prepared prepared // on SQLite

	sortAfter int64
	step      int
}

// New makes a Store of a database with settlement's migrations.
func New(db *database.DB) *Store {
	return &Store{db: db, sortAfter: defaultSortAfter, step: defaultStep}
}

// SortAfter has moves of a ledger sorted when there are so many, so many runs in
// a batch; both are at least 1. It returns the Store, which must not be in use.
func (s *Store) SortAfter(moves, runs int) *Store {
	s.sortAfter, s.step = int64(max(1, moves)), max(1, runs)
	return s
}

func (s *Store) queries() *settlementdb.Queries { return settlementdb.New(s.db.Read()) }

// writeTimeout bounds one batch.
const writeTimeout = time.Minute

// Write runs fn in a transaction of its own and commits it, unless fn returns
// an error. ctx does not cut it.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, session *Session) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if s.db.Dialect() == database.PostgreSQL {
		return database.Explain(s.writePostgres(ctx, fn))
	}
	statements, err := s.prepared.all(ctx, s.db)
	if err != nil {
		return err
	}
	return s.db.WriteAlone(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows := &sqlite{tx: tx, store: s, q: settlementdb.New(tx), prepared: statements}
		return fn(ctx, &Session{Tx: tx, store: s, q: rows.q, rows: rows})
	})
}

// names remembers accounts by number: what is in it never changes.
type names struct {
	mu  sync.Mutex
	all map[int64]name
}

type name struct {
	id      string
	purpose ledger.Purpose
	ownerID string
}

// maxNames bounds what names remembers.
const maxNames = 1 << 17

// of gives the name of an account by number, and reads one that it does not know.
func (n *names) of(number int64, read func() (name, error)) (name, error) {
	n.mu.Lock()
	one, known := n.all[number]
	n.mu.Unlock()
	if known {
		return one, nil
	}
	one, err := read()
	if errors.Is(err, sql.ErrNoRows) { // a fault, which Verify will find
		return name{id: fmt.Sprintf("unknown account %d", number)}, nil
	}
	if err != nil {
		return name{}, fmt.Errorf("account %d: %w", number, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil || len(n.all) >= maxNames {
		n.all = make(map[int64]name)
	}
	n.all[number] = one
	return one, nil
}
