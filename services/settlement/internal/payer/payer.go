// Package payer pays earnings out: it plans batches, holds their money in the
// ledger, gives them to a payout provider and books what came of them.
//
//	payer.go  Payer: what a person asks for
//	drive.go  what follows from that without a person; restarts go on with it
//	book.go   the transfers, each in one transaction with the payout's state
//
// A payout's transfer and its state change in one SQL transaction, and a
// provider is asked by an id that makes repeats harmless, so a process may die
// anywhere: nothing is paid twice or lost. A Payer is safe for concurrent use,
// also by several processes.
package payer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ErrNobody means that nobody has earned the minimum.
var ErrNobody = errors.New("nobody is due a payout")

// Config has what a Payer needs.
type Config struct {
	Ledgers    *store.Store
	Books      *engine.Engine
	Payouts    *store.Payouts
	Bank       payment.Payer
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer // default no metrics
}

// Payer pays out.
type Payer struct {
	cfg   Config
	ended *prometheus.CounterVec // by state
}

// New makes a Payer.
func New(cfg Config) *Payer {
	p := &Payer{cfg: cfg, ended: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backlot_settlement_payouts_total", Help: "Payouts that were held, submitted, settled, failed or cancelled.",
	}, []string{"state"})}
	for _, state := range []payout.State{payout.Held, payout.Submitted, payout.Settled, payout.Failed, payout.Cancelled} {
		p.ended.WithLabelValues(state.String()) // so that an increase shows from the first on
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(p.ended)
	}
	return p
}

// now is the time as it is stored.
func (p *Payer) now() time.Time { return p.cfg.Clock().UTC().Truncate(time.Microsecond) }

// Create drafts a batch of what everybody, or the named owners, may be paid
// now. The same key gives the same batch; for another currency or minimum it
// gives store.ErrKeyReused. It returns ErrNobody or an error of package payout.
func (p *Payer) Create(ctx context.Context, tenantID, key string, minimum money.Amount, owners []string) (payout.Batch, error) {
	known, err := p.cfg.Payouts.FindBatch(ctx, tenantID, key)
	if !errors.Is(err, store.ErrNotFound) {
		return same(known, minimum, err)
	}
	due, err := p.due(ctx, tenantID, minimum.Currency, owners)
	if err != nil {
		return payout.Batch{}, err
	}
	payouts, err := payout.Plan(minimum, due)
	if err != nil {
		return payout.Batch{}, err
	}
	if len(payouts) == 0 {
		return payout.Batch{}, fmt.Errorf("%w of %s or more", ErrNobody, minimum)
	}
	batch := payout.Batch{
		TenantID: tenantID, Currency: minimum.Currency, Minimum: minimum, IdempotencyKey: key, CreatedAt: p.now(),
	}
	if batch.ID, err = newID(); err != nil {
		return payout.Batch{}, err
	}
	for i := range payouts {
		if payouts[i].ID, err = newID(); err != nil {
			return payout.Batch{}, err
		}
	}
	added, err := p.cfg.Payouts.Add(ctx, batch, payouts)
	return same(added, minimum, err)
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

func same(found payout.Batch, minimum money.Amount, err error) (payout.Batch, error) {
	if err == nil && found.Minimum != minimum {
		return payout.Batch{}, store.ErrKeyReused
	}
	return found, err
}

// due is what persons have earned and owe.
func (p *Payer) due(ctx context.Context, tenantID, currency string, owners []string) ([]payout.Due, error) {
	if len(owners) > 0 {
		return p.dueOf(ctx, tenantID, currency, owners)
	}
	owed := map[string]money.Amount{}
	err := p.each(ctx, tenantID, ledger.Receivable, currency, func(account ledger.Account) (err error) {
		owed[account.OwnerID], err = account.Available()
		return err
	})
	if err != nil {
		return nil, err
	}
	var due []payout.Due
	err = p.each(ctx, tenantID, ledger.Earnings, currency, func(account ledger.Account) error {
		d, err := dueFrom(account, owed[account.OwnerID])
		due = append(due, d)
		return err
	})
	return due, err
}

func (p *Payer) dueOf(ctx context.Context, tenantID, currency string, owners []string) ([]payout.Due, error) {
	var due []payout.Due
	seen := map[string]bool{}
	for _, owner := range owners {
		account, found, err := p.cfg.Ledgers.Account(ctx, tenantID, owner, ledger.Earnings, currency)
		if err != nil {
			return nil, err
		}
		if !found || seen[owner] {
			continue
		}
		seen[owner] = true
		debts, indebted, err := p.cfg.Ledgers.Account(ctx, tenantID, owner, ledger.Receivable, currency)
		if err != nil {
			return nil, err
		}
		owed := money.Amount{}
		if indebted {
			if owed, err = debts.Available(); err != nil {
				return nil, err
			}
		}
		d, err := dueFrom(account, owed)
		if err != nil {
			return nil, err
		}
		due = append(due, d)
	}
	return due, nil
}

func dueFrom(account ledger.Account, owed money.Amount) (payout.Due, error) {
	earnings, err := account.Available()
	owed.Currency = account.Currency
	return payout.Due{OwnerID: account.OwnerID, Earnings: earnings, Owed: owed}, err
}

// each calls fn with every account for a purpose.
func (p *Payer) each(ctx context.Context, tenantID string, purpose ledger.Purpose, currency string, fn func(ledger.Account) error) error {
	const pageSize = 500
	for after, more := "", true; more; {
		page, err := p.cfg.Ledgers.AccountsOf(ctx, tenantID, purpose, currency, store.Page{After: after, Limit: pageSize})
		if err != nil {
			return err
		}
		for _, account := range page {
			if err := fn(account); err != nil {
				return err
			}
			after = account.ID
		}
		more = len(page) == pageSize
	}
	return nil
}

// Step does a person's step with a batch and what follows from it, as far as
// ctx's time allows; Run does the rest. A step that was done already changes
// nothing. It returns store.ErrNotFound or payout.ErrState.
func (p *Payer) Step(ctx context.Context, tenantID, id string, step payout.Step) (payout.Batch, error) {
	for {
		batch, err := p.cfg.Payouts.Batch(ctx, tenantID, id)
		if err != nil {
			return payout.Batch{}, err
		}
		next, move, err := batch.State.Next(step)
		if err != nil {
			return payout.Batch{}, fmt.Errorf("batch %s: %w", id, err)
		}
		if move {
			moved, err := p.cfg.Payouts.Move(ctx, batch, next, p.now())
			if err != nil {
				return payout.Batch{}, err
			}
			if !moved {
				continue // somebody else was faster
			}
			p.cfg.Log.Info("payout batch moved", "batch_id", id, "state", next.String())
		}
		batch.State = next
		p.try(ctx, batch)
		return p.cfg.Payouts.Batch(ctx, tenantID, id)
	}
}

// End is how a payout ended that a person sent.
type End struct {
	PayoutID string
	Problem  string // why it was not paid; empty means that it was
}

// End books how payouts of a submitted batch ended, all or none. What has ended
// the same way already changes nothing. It returns store.ErrNotFound or
// payout.ErrState.
func (p *Payer) End(ctx context.Context, tenantID, id string, ends []End) (payout.Batch, error) {
	batch, err := p.cfg.Payouts.Batch(ctx, tenantID, id)
	if err != nil {
		return payout.Batch{}, err
	}
	err = p.cfg.Books.Write(ctx, tenantID, batch.Currency, func(ctx context.Context, tx *engine.Tx) error {
		for i, end := range ends {
			outcome := payment.Paid
			if end.Problem != "" {
				outcome = payment.Refused
			}
			if err := p.book(ctx, tx, batch, end.PayoutID, outcome, end.Problem); err != nil {
				return fmt.Errorf("ends[%d]: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		return payout.Batch{}, err
	}
	p.try(ctx, batch)
	return p.cfg.Payouts.Batch(ctx, tenantID, id)
}
