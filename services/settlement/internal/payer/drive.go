package payer

import (
	"context"
	"database/sql"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

const (
	driveEvery = 10 * time.Second // between two looks for what is left to do
	drivePage  = 500
	payTimeout = 10 * time.Second // of one request to the provider
)

// Run does what is left to do in batches, at once and then from time to time,
// until ctx ends.
func (p *Payer) Run(ctx context.Context) error {
	ticker := time.NewTicker(driveEvery)
	defer ticker.Stop()
	for {
		if err := p.Drive(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Log.Error("cannot look for payouts to make, will try again", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Drive does once what is left to do. A payout that cannot be dealt with now
// holds up no other one.
func (p *Payer) Drive(ctx context.Context) error {
	for after := ""; ; {
		batches, err := p.cfg.Payouts.Unfinished(ctx, after, drivePage)
		if err != nil {
			return err
		}
		for _, batch := range batches {
			p.try(ctx, batch)
			after = batch.ID
		}
		if len(batches) < drivePage || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// try drives one batch and logs what stands in the way.
func (p *Payer) try(ctx context.Context, batch payout.Batch) {
	if err := p.drive(ctx, batch); err != nil && ctx.Err() == nil {
		p.cfg.Log.Warn("payout batch cannot go on, will try again", "batch_id", batch.ID, "err", err)
	}
}

func (p *Payer) drive(ctx context.Context, batch payout.Batch) error {
	open := false
	for after, more := "", true; more; {
		page, err := p.cfg.Payouts.List(ctx, batch, store.Page{After: after, Limit: drivePage})
		if err != nil {
			return err
		}
		for _, found := range page {
			after = found.ID
			if err := p.step(ctx, batch, found); err != nil {
				p.cfg.Log.Warn("payout cannot go on, will try again", "payout_id", found.ID, "err", err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		more = len(page) == drivePage
	}
	if batch.State != payout.BatchSubmitted {
		return nil
	}
	sums, err := p.cfg.Payouts.Sums(ctx, batch.ID)
	if err != nil {
		return err
	}
	for state := range sums {
		open = open || !state.Final()
	}
	if open {
		return nil
	}
	moved, err := p.cfg.Payouts.Move(ctx, batch, payout.Ended, p.now())
	if moved {
		p.cfg.Log.Info("payout batch ended", "batch_id", batch.ID)
	}
	return err
}

// step does what a payout needs, and what it needs after that.
func (p *Payer) step(ctx context.Context, batch payout.Batch, found payout.Payout) error {
	switch found.State.Task(batch.State) {
	case payout.Hold:
		if err := p.hold(ctx, batch, found.ID); err != nil || batch.State != payout.BatchSubmitted {
			return err
		}
		return p.send(ctx, batch, found)
	case payout.Send, payout.Ask:
		return p.send(ctx, batch, found)
	case payout.Release:
		return p.release(ctx, batch, found.ID)
	default:
		return nil
	}
}

// send gives a payout to the provider, or asks what came of it, and books the
// answer. A payout that is not held is none that may be sent.
func (p *Payer) send(ctx context.Context, batch payout.Batch, found payout.Payout) error {
	held := false
	err := p.cfg.Payouts.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		now, err := p.cfg.Payouts.Payout(ctx, tx, batch, found.ID)
		held = now.State == payout.Held || now.State == payout.Submitted
		found = now
		return err
	})
	if err != nil || !held {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, payTimeout)
	defer cancel()
	outcome, problem, err := p.cfg.Bank.Pay(bounded, payment.Payout{
		ID: found.ID, TenantID: found.TenantID, OwnerID: found.OwnerID, Amount: found.Amount,
	})
	if err != nil {
		return err
	}
	// The provider has decided: what it said is booked even if the caller left.
	ctx = context.WithoutCancel(ctx)
	if outcome != payment.Underway {
		return p.cfg.Books.Write(ctx, batch.TenantID, batch.Currency, func(ctx context.Context, tx *engine.Tx) error {
			return p.book(ctx, tx, batch, found.ID, outcome, problem)
		})
	}
	if found.State == payout.Submitted {
		return nil
	}
	return p.cfg.Payouts.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		now, err := p.cfg.Payouts.Payout(ctx, tx, batch, found.ID)
		if err != nil || now.State != payout.Held {
			return err
		}
		next := now
		next.State = payout.Submitted
		return p.set(ctx, tx, next, now.State)
	})
}
