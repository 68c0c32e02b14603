package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// Load implements runner.Store. The log is read first, so that it is never
// ahead of the row: a log that lacks the last append is one that may be.
func (s *Store) Load(ctx context.Context, key runner.Key) (runner.Transaction, []tcc.Record, error) {
	q := coordinatordb.New(s.db.Read())
	records, err := q.ListRecords(ctx, coordinatordb.ListRecordsParams{TenantID: key.TenantID, Xid: key.XID})
	if err != nil {
		return runner.Transaction{}, nil, err
	}
	row, err := q.GetTransaction(ctx, coordinatordb.GetTransactionParams{TenantID: key.TenantID, Xid: key.XID})
	if errors.Is(err, sql.ErrNoRows) {
		return runner.Transaction{}, nil, runner.ErrNotFound
	}
	if err != nil {
		return runner.Transaction{}, nil, err
	}
	t, err := decode(row)
	if err != nil {
		return runner.Transaction{}, nil, err
	}
	log := make([]tcc.Record, 0, len(records))
	for _, r := range records {
		registered, err := decodeRegistered(r.Content)
		if err != nil {
			return runner.Transaction{}, nil, fmt.Errorf("log of %s: %w", key.XID, err)
		}
		log = append(log, tcc.Record{
			Sequence: int(r.Sequence), Branch: int(r.Branch), Phase: tcc.Phase(r.Phase),
			Status: tcc.Status(r.Status), Attempt: int(r.Attempt), Problem: r.Problem,
			Registered: registered,
		})
	}
	return t, log, nil
}

// Unfinished implements runner.Store.
func (s *Store) Unfinished(ctx context.Context, owner string, after runner.Cursor, limit int) ([]runner.Transaction, error) {
	rows, err := coordinatordb.New(s.db.Read()).ListUnfinished(ctx, coordinatordb.ListUnfinishedParams{
		Owner: owner, AfterCreatedAt: micros(after.CreatedAt, math.MinInt64),
		AfterTenantID: after.TenantID, AfterXid: after.XID, MaxRows: int32(limit),
	})
	return decodeAll(rows, err)
}

// List implements runner.Store.
func (s *Store) List(
	ctx context.Context, tenantID string, states []tcc.State, before runner.Cursor, limit int,
) ([]runner.Transaction, error) {
	set := int64(0)
	for _, state := range states {
		if state >= tcc.Trying && state <= tcc.Parked {
			set |= 1 << state
		}
	}
	if len(states) == 0 {
		set = math.MaxInt64
	}
	rows, err := coordinatordb.New(s.db.Read()).ListTransactions(ctx, coordinatordb.ListTransactionsParams{
		TenantID: tenantID, States: set, BeforeCreatedAt: micros(before.CreatedAt, math.MaxInt64),
		BeforeXid: before.XID, MaxRows: int32(limit),
	})
	return decodeAll(rows, err)
}

func decodeAll(rows []coordinatordb.Transaction, err error) ([]runner.Transaction, error) {
	if err != nil {
		return nil, err
	}
	all := make([]runner.Transaction, 0, len(rows))
	for _, row := range rows {
		t, err := decode(row)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// micros is a time as it is stored, or what stands for none.
func micros(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMicro()
}
