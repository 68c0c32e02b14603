// Package store keeps uploads and jobs in SQL, on SQLite and PostgreSQL alike.
// Each change of state is one transaction with the fact that tells of it.
//
//   - upload.go and job.go read and change; row.go turns rows into domain
//     values and back; fact.go builds facts.
//
// It decides nothing about jobs: callers change a domain value and the store
// writes what changed. A Store may be used by several goroutines.
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderdb "github.com/backlot-video/backlot/sql/gen/transcoder"
)

// What callers may ask about.
var (
	ErrNotFound = errors.New("not found")
	// ErrBusy is a limit of what may wait at once.
	ErrBusy = errors.New("too much is waiting")
)

// AddFact puts a fact into the outbox within tx.
type AddFact func(ctx context.Context, tx *sql.Tx, fact *eventv1.Envelope) error

// Config of a Store; all fields must be set.
type Config struct {
	Node    string // of the data folder whose files and jobs are ours
	AddFact AddFact
	Clock   func() time.Time
	// MaxQueued is how many jobs may wait before new uploads are refused, and
	// MaxOpen how many unfinished uploads one creator may have.
	MaxQueued, MaxOpen int64
}

// Store is the service's database.
type Store struct {
	db  *database.DB
	cfg Config
}

// New returns a store on db, which it does not close.
func New(db *database.DB, cfg Config) *Store { return &Store{db: db, cfg: cfg} }

func (s *Store) read() *transcoderdb.Queries { return transcoderdb.New(s.db.Read()) }

// write runs fn in a transaction.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, q *transcoderdb.Queries) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return fn(ctx, tx, transcoderdb.New(tx)) })
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
