// Package store keeps transactions, their logs and the coordinators' leases in
// SQL, one code for SQLite and PostgreSQL.
//
//	store.go   Store: writing
//	read.go    reading
//	encode.go  rows and blobs to and from the runner's types
//
// Writes of many transactions share commits (kit/database). A transaction's
// row names its owner; every append checks it, so a coordinator that has lost
// its transactions cannot write to them. Old transactions are not removed.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// forgetAfter is how long a dead coordinator's row is kept: longer than any
// write of it can be on its way.
const forgetAfter = time.Hour

// Tell adds the fact that a transaction has ended to the outbox, in tx.
type Tell func(ctx context.Context, tx *sql.Tx, t runner.Transaction) error

// Store is a runner.Store. It is safe for concurrent use.
type Store struct {
	db   *database.DB
	tell Tell
}

var _ runner.Store = (*Store)(nil)

// New makes a Store of a database with coordinator's migrations.
func New(db *database.DB, tell Tell) *Store { return &Store{db: db, tell: tell} }

// write runs fn in a transaction.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return fn(ctx, tx, coordinatordb.New(tx))
	})
}

// Join implements runner.Store, and forgets coordinators that are long dead.
func (s *Store) Join(ctx context.Context, lease runner.Lease) error {
	return s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		if _, err := q.PurgeCoordinators(ctx, lease.Until.Add(-forgetAfter).UnixMicro()); err != nil {
			return err
		}
		return q.AddCoordinator(ctx, coordinatordb.AddCoordinatorParams{
			ID: lease.ID, TenantID: "", Host: lease.Host, LeaseUntil: lease.Until.UnixMicro(),
		})
	})
}

// Renew implements runner.Store.
func (s *Store) Renew(ctx context.Context, lease runner.Lease, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		rows, err := q.RenewCoordinator(ctx, coordinatordb.RenewCoordinatorParams{
			ID: lease.ID, LeaseUntil: lease.Until.UnixMicro(), Now: now.UnixMicro(),
		})
		return owned(rows, err)
	})
}

// Leave implements runner.Store.
func (s *Store) Leave(ctx context.Context, id string) error {
	return s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		return q.EndCoordinator(ctx, id)
	})
}

// TakeOver implements runner.Store.
func (s *Store) TakeOver(ctx context.Context, lease runner.Lease, now time.Time) (taken int64, err error) {
	err = s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		taken, err = q.TakeOver(ctx, coordinatordb.TakeOverParams{
			Owner: lease.ID, Host: lease.Host, Now: now.UnixMicro(),
		})
		return err
	})
	return taken, err
}

// Begin implements runner.Store.
func (s *Store) Begin(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	row, err := encode(t)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		rows, err := q.AddTransaction(ctx, coordinatordb.AddTransactionParams{
			TenantID: row.TenantID, Xid: row.Xid, Mode: row.Mode, State: row.State, Owner: owner,
			Digest: row.Digest, Branches: row.Branches, Problem: row.Problem,
			CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, ExpiresAt: row.ExpiresAt,
		})
		if err != nil {
			return err
		}
		if rows == 0 {
			return runner.ErrExists
		}
		return addRecords(ctx, q, t, log)
	})
}

// Append implements runner.Store.
func (s *Store) Append(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries) error {
		return s.append(ctx, tx, q, owner, t, log)
	})
}

// Reopen implements runner.Store.
func (s *Store) Reopen(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries) error {
		rows, err := q.ClaimTransaction(ctx, coordinatordb.ClaimTransactionParams{
			Owner: owner, TenantID: t.TenantID, Xid: t.XID, LastSequence: int64(log[0].Sequence - 1),
		})
		if err := owned(rows, err); err != nil {
			return err
		}
		return s.append(ctx, tx, q, owner, t, log)
	})
}

func (s *Store) append(
	ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries, owner string, t runner.Transaction, log []tcc.Record,
) error {
	rows, err := q.MoveTransaction(ctx, coordinatordb.MoveTransactionParams{
		State: int32(t.State), Problem: t.Problem, UpdatedAt: t.UpdatedAt.UnixMicro(),
		TenantID: t.TenantID, Xid: t.XID, Owner: owner,
	})
	if err := owned(rows, err); err != nil {
		return err
	}
	if err := addRecords(ctx, q, t, log); err != nil {
		return err
	}
	if !t.State.Ended() {
		return nil
	}
	if err := s.tell(ctx, tx, t); err != nil {
		return fmt.Errorf("tell that transaction %s has ended: %w", t.XID, err)
	}
	return nil
}

func addRecords(ctx context.Context, q *coordinatordb.Queries, t runner.Transaction, log []tcc.Record) error {
	for _, record := range log {
		content, err := encodeRegistered(record.Registered)
		if err != nil {
			return err
		}
		err = q.AddRecord(ctx, coordinatordb.AddRecordParams{
			TenantID: t.TenantID, Xid: t.XID, Sequence: int32(record.Sequence), Branch: int32(record.Branch),
			Phase: int32(record.Phase), Status: int32(record.Status), Attempt: int32(record.Attempt),
			Problem: record.Problem, OccurredAt: t.UpdatedAt.UnixMicro(), Content: content,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// owned makes an update that found no row ErrLost.
func owned(rows int64, err error) error {
	if err == nil && rows == 0 {
		return runner.ErrLost
	}
	return err
}
