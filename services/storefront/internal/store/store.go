// Package store keeps storefront's accounts, videos, views, orders and
// entitlements in SQL, one code for SQLite and PostgreSQL.
//
//	store.go    Store, reading and writing
//	account.go  accounts
//	video.go    videos and views
//	order.go    orders and entitlements
//
// Facts are put into the outbox by the functions that store the state they
// tell of.
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	storefrontdb "github.com/backlot-video/backlot/sql/gen/storefront"
)

// ErrNotFound means that there is no such row for the tenant.
var ErrNotFound = errors.New("not found")

// LastPage is the token before the first page of lists that run backwards.
const LastPage = "z"

// Store is storefront's database.
type Store struct{ db *database.DB }

// New returns a store on a migrated database.
func New(db *database.DB) *Store { return &Store{db} }

// Tx is one transaction's view of the store.
type Tx struct {
	SQL     *sql.Tx
	queries *storefrontdb.Queries
}

// InTx gives the view of a transaction that another package opened.
func InTx(tx *sql.Tx) Tx { return Tx{tx, storefrontdb.New(tx)} }

// Write runs fn in one transaction.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return fn(ctx, InTx(tx)) })
}

func (s *Store) read() *storefrontdb.Queries { return storefrontdb.New(s.db.Read()) }

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
