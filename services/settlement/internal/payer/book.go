package payer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
)

// transferKey is the idempotency key of a payout's transfer.
func transferKey(p payout.Payout) string { return "payout/" + p.ID }

// hold pends a payout's transfer, if it is still to be held. What the person
// owes the house is paid back first.
func (p *Payer) hold(ctx context.Context, batch payout.Batch, id string) error {
	err := p.cfg.Books.Write(ctx, batch.TenantID, batch.Currency, func(ctx context.Context, tx *engine.Tx) error {
		planned, due, err := p.still(ctx, tx, batch, id, payout.Hold)
		if err != nil || !due {
			return err
		}
		if err := p.recover(ctx, tx, planned); err != nil {
			return err
		}
		t, err := tx.Pend(ctx, ledger.Draft{
			TenantID: planned.TenantID, Currency: batch.Currency, Type: ledger.Payout,
			Reference: planned.ID, IdempotencyKey: transferKey(planned),
			Lines: []ledger.Line{
				{Purpose: ledger.Earnings, OwnerID: planned.OwnerID, Side: ledger.Debit, Amount: planned.Amount},
				{Purpose: ledger.Clearing, Side: ledger.Credit, Amount: planned.Amount},
			},
		})
		if err != nil {
			return err
		}
		next := planned
		next.State, next.TransferID = payout.Held, t.ID
		return p.set(ctx, tx.SQL(), next, planned.State)
	})
	if !errors.Is(err, ledger.ErrInsufficientFunds) {
		return err
	}
	problem := err.Error() // the money is gone: a sale was refunded, or another batch was faster
	return p.cfg.Payouts.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		planned, err := p.cfg.Payouts.Payout(ctx, tx, batch, id)
		if err != nil || planned.State != payout.Planned {
			return err
		}
		next := planned
		next.State, next.Problem = payout.Failed, problem
		return p.set(ctx, tx, next, planned.State)
	})
}

// still reads a payout and tells whether it still needs a task.
func (p *Payer) still(
	ctx context.Context, tx *engine.Tx, batch payout.Batch, id string, task payout.Task,
) (found payout.Payout, due bool, err error) {
	if batch, err = p.cfg.Payouts.BatchIn(ctx, tx.SQL(), batch.TenantID, batch.ID); err != nil {
		return found, false, err
	}
	found, err = p.cfg.Payouts.Payout(ctx, tx.SQL(), batch, id)
	return found, err == nil && found.State.Task(batch.State) == task, err
}

// recover pays what a person owes the house from its earnings, as far as they
// go.
func (p *Payer) recover(ctx context.Context, tx *engine.Tx, of payout.Payout) error {
	debts, indebted, err := tx.Account(ctx, of.TenantID, of.OwnerID, ledger.Receivable, of.Amount.Currency)
	if err != nil || !indebted {
		return err
	}
	owed, err := debts.Available()
	if err != nil || owed.Sign() <= 0 {
		return err
	}
	earnings, found, err := tx.Account(ctx, of.TenantID, of.OwnerID, ledger.Earnings, of.Amount.Currency)
	if err != nil || !found {
		return err
	}
	has, err := earnings.Available()
	if err != nil || has.Sign() <= 0 {
		return err
	}
	amount := money.Amount{Minor: min(owed.Minor, has.Minor), Currency: owed.Currency}
	key := "recovery/" + of.ID
	_, err = tx.Pend(ctx, ledger.Draft{
		TenantID: of.TenantID, Currency: amount.Currency, Type: ledger.Recovery, Reference: of.ID, IdempotencyKey: key,
		Lines: []ledger.Line{
			{Purpose: ledger.Earnings, OwnerID: of.OwnerID, Side: ledger.Debit, Amount: amount},
			{Purpose: ledger.Receivable, OwnerID: of.OwnerID, Side: ledger.Credit, Amount: amount},
		},
	})
	if err != nil {
		return err
	}
	_, err = tx.Post(ctx, of.TenantID, key)
	return err
}

// book ends a payout of a submitted batch as its provider has said.
func (p *Payer) book(
	ctx context.Context, tx *engine.Tx, batch payout.Batch, id string, outcome payment.Outcome, problem string,
) error {
	batch, err := p.cfg.Payouts.BatchIn(ctx, tx.SQL(), batch.TenantID, batch.ID)
	if err != nil {
		return err
	}
	found, err := p.cfg.Payouts.Payout(ctx, tx.SQL(), batch, id)
	if err != nil {
		return err
	}
	next := found
	next.State, next.Problem = payout.Settled, ""
	if outcome == payment.Refused {
		next.State, next.Problem = payout.Failed, problem
	}
	switch {
	case found.State == next.State:
		return nil
	case batch.State != payout.BatchSubmitted || found.State != payout.Held && found.State != payout.Submitted:
		return fmt.Errorf("%w: payout %s is %v in a batch that is %v", payout.ErrState, id, found.State, batch.State)
	case next.State == payout.Settled:
		_, err = tx.Post(ctx, found.TenantID, transferKey(found))
	default:
		_, err = tx.Void(ctx, found.TenantID, transferKey(found))
	}
	if err != nil {
		return err
	}
	return p.set(ctx, tx.SQL(), next, found.State)
}

// release ends a payout of a cancelled batch.
func (p *Payer) release(ctx context.Context, batch payout.Batch, id string) error {
	return p.cfg.Books.Write(ctx, batch.TenantID, batch.Currency, func(ctx context.Context, tx *engine.Tx) error {
		found, due, err := p.still(ctx, tx, batch, id, payout.Release)
		if err != nil || !due {
			return err
		}
		if found.State == payout.Held {
			if _, err := tx.Void(ctx, found.TenantID, transferKey(found)); err != nil {
				return err
			}
		}
		next := found
		next.State = payout.Cancelled
		return p.set(ctx, tx.SQL(), next, found.State)
	})
}

// set writes a payout's next state in tx and counts it.
func (p *Payer) set(ctx context.Context, tx *sql.Tx, next payout.Payout, from payout.State) error {
	next.UpdatedAt = p.now()
	moved, err := p.cfg.Payouts.Set(ctx, tx, next, from)
	if err != nil {
		return err
	}
	if !moved {
		return fmt.Errorf("payout %s: %w: no longer %v", next.ID, payout.ErrState, from)
	}
	database.AfterCommit(ctx, p.ended.WithLabelValues(next.State.String()).Inc)
	return nil
}
