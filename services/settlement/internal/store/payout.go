package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// Payouts keeps batches of payouts. It is safe for concurrent use.
type Payouts struct{ db *database.DB }

// NewPayouts makes Payouts of a database with settlement's migrations.
func NewPayouts(db *database.DB) *Payouts { return &Payouts{db} }

func (s *Payouts) read() *settlementdb.Queries { return settlementdb.New(s.db.Read()) }

// PayoutSums are how many payouts of a batch are in a state, and what they come
// to.
type PayoutSums map[payout.State]struct{ Count, Minor int64 }

// Add makes a batch with its payouts, or returns the one with its key, whose
// currency and minimum must be the same, else it returns ErrKeyReused.
func (s *Payouts) Add(ctx context.Context, batch payout.Batch, payouts []payout.Payout) (added payout.Batch, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := settlementdb.New(tx)
		first, err := q.AddPayoutBatch(ctx, settlementdb.AddPayoutBatchParams{
			ID: batch.ID, TenantID: batch.TenantID, Currency: batch.Currency, Minimum: batch.Minimum.Minor,
			IdempotencyKey: batch.IdempotencyKey, Now: microsOf(batch.CreatedAt),
		})
		if err != nil {
			return err
		}
		for i := range payouts {
			if first != 1 {
				break
			}
			err := q.AddPayout(ctx, settlementdb.AddPayoutParams{
				ID: payouts[i].ID, TenantID: batch.TenantID, BatchID: batch.ID, OwnerID: payouts[i].OwnerID,
				Amount: payouts[i].Amount.Minor, Now: microsOf(batch.CreatedAt),
			})
			if err != nil {
				return err
			}
		}
		row, err := q.FindPayoutBatch(ctx, settlementdb.FindPayoutBatchParams{TenantID: batch.TenantID, IdempotencyKey: batch.IdempotencyKey})
		added = decodeBatch(row)
		return err
	})
	return added, err
}

// FindBatch returns the batch with this key, or ErrNotFound.
func (s *Payouts) FindBatch(ctx context.Context, tenantID, key string) (payout.Batch, error) {
	row, err := s.read().FindPayoutBatch(ctx, settlementdb.FindPayoutBatchParams{TenantID: tenantID, IdempotencyKey: key})
	return decodeBatch(row), notFound(err)
}

// Batch returns a batch, or ErrNotFound.
func (s *Payouts) Batch(ctx context.Context, tenantID, id string) (payout.Batch, error) {
	return batchIn(ctx, s.read(), tenantID, id)
}

// BatchIn is Batch within a transaction.
func (s *Payouts) BatchIn(ctx context.Context, tx *sql.Tx, tenantID, id string) (payout.Batch, error) {
	return batchIn(ctx, settlementdb.New(tx), tenantID, id)
}

func batchIn(ctx context.Context, q *settlementdb.Queries, tenantID, id string) (payout.Batch, error) {
	row, err := q.GetPayoutBatch(ctx, settlementdb.GetPayoutBatchParams{TenantID: tenantID, ID: id})
	if err != nil {
		return payout.Batch{}, fmt.Errorf("batch %s: %w", id, notFound(err))
	}
	return decodeBatch(row), nil
}

// Batches lists a tenant's batches, the newest first; before is the last id
// seen, empty for the beginning.
func (s *Payouts) Batches(ctx context.Context, tenantID, before string, limit int) ([]payout.Batch, error) {
	if before == "" {
		before = lastID
	}
	rows, err := s.read().ListPayoutBatches(ctx, settlementdb.ListPayoutBatchesParams{
		TenantID: tenantID, BeforeID: before, MaxRows: int32(limit),
	})
	return decodeBatches(rows), err
}

// Unfinished lists batches of all tenants in which something is left to do.
func (s *Payouts) Unfinished(ctx context.Context, after string, limit int) ([]payout.Batch, error) {
	rows, err := s.read().ListUnfinishedBatches(ctx, settlementdb.ListUnfinishedBatchesParams{AfterID: after, MaxRows: int32(limit)})
	return decodeBatches(rows), err
}

// Move takes a batch from one state to another; false where it is no longer in
// the first.
func (s *Payouts) Move(ctx context.Context, batch payout.Batch, to payout.BatchState, now time.Time) (moved bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := settlementdb.New(tx).MovePayoutBatch(ctx, settlementdb.MovePayoutBatchParams{
			TenantID: batch.TenantID, ID: batch.ID, State: int32(batch.State), NextState: int32(to), Now: microsOf(now),
		})
		moved = n == 1
		return err
	})
	return moved, err
}

// Sums counts a batch's payouts by state.
func (s *Payouts) Sums(ctx context.Context, batchID string) (PayoutSums, error) {
	rows, err := s.read().SumPayouts(ctx, batchID)
	sums := PayoutSums{}
	for _, row := range rows {
		sums[payout.State(row.State)] = struct{ Count, Minor int64 }{row.Payouts, row.Amount}
	}
	return sums, err
}

// List lists a batch's payouts by id.
func (s *Payouts) List(ctx context.Context, batch payout.Batch, page Page) ([]payout.Payout, error) {
	rows, err := s.read().ListPayouts(ctx, settlementdb.ListPayoutsParams{
		TenantID: batch.TenantID, BatchID: batch.ID, AfterID: page.After, MaxRows: int32(page.Limit),
	})
	list := make([]payout.Payout, 0, len(rows))
	for _, row := range rows {
		list = append(list, decodePayout(row, batch.Currency))
	}
	return list, err
}

// Payout returns a payout of a batch within a transaction, or ErrNotFound.
func (s *Payouts) Payout(ctx context.Context, tx *sql.Tx, batch payout.Batch, id string) (payout.Payout, error) {
	row, err := settlementdb.New(tx).GetPayout(ctx, settlementdb.GetPayoutParams{TenantID: batch.TenantID, ID: id})
	if err == nil && row.BatchID != batch.ID {
		err = sql.ErrNoRows
	}
	if err != nil {
		return payout.Payout{}, fmt.Errorf("payout %s of batch %s: %w", id, batch.ID, notFound(err))
	}
	return decodePayout(row, batch.Currency), nil
}

// Set writes a payout that was in a state, within a transaction; false where it
// is no longer in it.
func (s *Payouts) Set(ctx context.Context, tx *sql.Tx, next payout.Payout, from payout.State) (bool, error) {
	n, err := settlementdb.New(tx).MovePayout(ctx, settlementdb.MovePayoutParams{
		TenantID: next.TenantID, ID: next.ID, State: int32(from), NextState: int32(next.State),
		Problem: next.Problem, TransferID: next.TransferID, Now: microsOf(next.UpdatedAt),
	})
	return n == 1, err
}

// Write runs fn in a transaction of its own, which books nothing.
func (s *Payouts) Write(ctx context.Context, fn database.Func) error { return s.db.Write(ctx, fn) }

// AccountsOf lists a tenant's accounts for one purpose in one currency.
func (s *Store) AccountsOf(
	ctx context.Context, tenantID string, purpose ledger.Purpose, currency string, page Page,
) ([]ledger.Account, error) {
	return s.readAccounts(ctx, func(q *settlementdb.Queries) ([]settlementdb.GetAccountRow, error) {
		rows, err := q.ListAccountsOf(ctx, settlementdb.ListAccountsOfParams{
			TenantID: tenantID, Purpose: string(purpose), Currency: currency, AfterID: page.After, MaxRows: int32(page.Limit),
		})
		return accountRows(rows), err
	})
}

func decodeBatches(rows []settlementdb.PayoutBatch) []payout.Batch {
	batches := make([]payout.Batch, 0, len(rows))
	for _, row := range rows {
		batches = append(batches, decodeBatch(row))
	}
	return batches
}

func decodeBatch(row settlementdb.PayoutBatch) payout.Batch {
	return payout.Batch{
		ID: row.ID, TenantID: row.TenantID, Currency: row.Currency, State: payout.BatchState(row.State),
		Minimum: money.Amount{Minor: row.Minimum, Currency: row.Currency}, IdempotencyKey: row.IdempotencyKey,
		CreatedAt: timeOf(row.CreatedAt), UpdatedAt: timeOf(row.UpdatedAt),
	}
}

func decodePayout(row settlementdb.Payout, currency string) payout.Payout {
	return payout.Payout{
		ID: row.ID, TenantID: row.TenantID, BatchID: row.BatchID, OwnerID: row.OwnerID,
		Amount: money.Amount{Minor: row.Amount, Currency: currency}, State: payout.State(row.State),
		Problem: row.Problem, TransferID: row.TransferID, UpdatedAt: timeOf(row.UpdatedAt),
	}
}
