package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// Load implements runner.Store.
func (s *Store) Load(ctx context.Context, key runner.Key) (runner.Logged, error) {
	return s.load(ctx, coordinatordb.New(s.db.Read()), key)
}

func (s *Store) load(ctx context.Context, q *coordinatordb.Queries, key runner.Key) (runner.Logged, error) {
	rows, err := q.GetTransaction(ctx, coordinatordb.GetTransactionParams{TenantID: key.TenantID, Xid: key.XID})
	if err != nil {
		return runner.Logged{}, err
	}
	all, err := s.assemble(ctx, q, rows)
	if err != nil {
		return runner.Logged{}, err
	}
	if len(all) == 0 {
		return runner.Logged{}, runner.ErrNotFound
	}
	return all[0], nil
}

// Unfinished implements runner.Store.
func (s *Store) Unfinished(ctx context.Context, owner string, after runner.Cursor, limit int) ([]runner.Logged, error) {
	q := coordinatordb.New(s.db.Read())
	rows, err := q.ListUnfinished(ctx, coordinatordb.ListUnfinishedParams{
		Owner: owner, AfterCreatedAt: micros(after.CreatedAt, math.MinInt64),
		AfterTenantID: after.TenantID, AfterXid: after.XID, MaxRows: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	return s.assemble(ctx, q, convert(rows, func(r coordinatordb.ListUnfinishedRow) row { return row(r) }))
}

// List implements runner.Store.
func (s *Store) List(
	ctx context.Context, tenantID string, states []tcc.State, before runner.Cursor, limit int,
) ([]runner.Logged, error) {
	set := int64(0)
	for _, state := range states {
		if state >= tcc.Trying && state <= tcc.Parked {
			set |= 1 << state
		}
	}
	if len(states) == 0 {
		set = math.MaxInt64
	}
	q := coordinatordb.New(s.db.Read())
	params := coordinatordb.ListTransactionsParams{
		TenantID: tenantID, States: set, BeforeCreatedAt: micros(before.CreatedAt, math.MaxInt64),
		BeforeXid: before.XID, MaxRows: int32(limit),
	}
	if set&(1<<tcc.Confirmed|1<<tcc.Cancelled) == 0 {
		rows, err := q.ListOpen(ctx, coordinatordb.ListOpenParams(params))
		if err != nil {
			return nil, err
		}
		return s.assemble(ctx, q, convert(rows, func(r coordinatordb.ListOpenRow) row { return row(r) }))
	}
	rows, err := q.ListTransactions(ctx, params)
	if err != nil {
		return nil, err
	}
	return s.assemble(ctx, q, convert(rows, func(r coordinatordb.ListTransactionsRow) row { return row(r) }))
}

// row is a transaction with one entry of its log, or with none.
type row = coordinatordb.GetTransactionRow

func convert[T any](from []T, one func(T) row) []row {
	rows := make([]row, 0, len(from))
	for _, r := range from {
		rows = append(rows, one(r))
	}
	return rows
}

// assemble makes transactions of rows, of which those of one follow each other
// in the order of the log.
func (s *Store) assemble(ctx context.Context, q *coordinatordb.Queries, rows []row) ([]runner.Logged, error) {
	var all []runner.Logged
	for i, r := range rows {
		if i == 0 || rows[i-1].Transaction.Xid != r.Transaction.Xid || rows[i-1].Transaction.TenantID != r.Transaction.TenantID {
			t, err := s.first(ctx, q, r.Transaction)
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		if r.Sequence == 0 {
			continue
		}
		t := &all[len(all)-1]
		log, err := parseRecords(r.EntryRecords)
		if err != nil {
			return nil, fmt.Errorf("entry %d of %s: %w", r.Sequence, t.XID, err)
		}
		t.Log = append(t.Log, log...)
		t.State, t.Problem, t.UpdatedAt = tcc.State(r.EntryState), r.EntryProblem, timeOf(r.OccurredAt)
	}
	return all, nil
}

// first is a transaction with its first records.
func (s *Store) first(ctx context.Context, q *coordinatordb.Queries, transaction coordinatordb.Transaction) (runner.Logged, error) {
	t, err := decode(transaction)
	if err != nil {
		return runner.Logged{}, err
	}
	log, err := parseRecords(transaction.Records)
	if err != nil {
		return runner.Logged{}, fmt.Errorf("first records of %s: %w", t.XID, err)
	}
	if len(transaction.Records) == 0 {
		log, err = records(ctx, q, t.Key)
	}
	return runner.Logged{Transaction: t, Log: log}, err
}

// records reads the log of a transaction that is older than
// transaction_entries.
func records(ctx context.Context, q *coordinatordb.Queries, key runner.Key) ([]tcc.Record, error) {
	rows, err := q.ListRecords(ctx, coordinatordb.ListRecordsParams{TenantID: key.TenantID, Xid: key.XID})
	if err != nil {
		return nil, err
	}
	log := make([]tcc.Record, 0, len(rows))
	for _, r := range rows {
		registered, err := decodeRegistered(r.Content)
		if err != nil {
			return nil, fmt.Errorf("log of %s: %w", key.XID, err)
		}
		log = append(log, tcc.Record{
			Sequence: int(r.Sequence), Branch: int(r.Branch), Phase: tcc.Phase(r.Phase),
			Status: tcc.Status(r.Status), Attempt: int(r.Attempt), Problem: r.Problem,
			Registered: registered,
		})
	}
	return log, nil
}

// micros is a time as it is stored, or what stands for none.
func micros(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMicro()
}
