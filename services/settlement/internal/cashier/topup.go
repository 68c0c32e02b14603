package cashier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

var (
	beforePendTopUp = crashpoint.New("settlement/top-up-pend/before")
	afterPendTopUp  = crashpoint.New("settlement/top-up-pend/after")
	beforeCharge    = crashpoint.New("settlement/charge/before")
	afterCharge     = crashpoint.New("settlement/charge/after")
	beforeEndTopUp  = crashpoint.New("settlement/top-up-end/before")
	afterEndTopUp   = crashpoint.New("settlement/top-up-end/after")
)

const (
	// chargeTimeout bounds one request to the provider.
	chargeTimeout = 10 * time.Second
	// resumeEvery is how often top-ups without an answer are asked for again.
	resumeEvery = 30 * time.Second
	resumePage  = 100
)

// TopUp brings money in for a person's wallet and returns its transfer, which
// is posted. The same key gives the same transfer; with another amount it
// gives ErrConflict. It returns payment.ErrDeclined where the provider refuses.
// After any other error the outcome is open: ask again with the same key.
func (c *Cashier) TopUp(ctx context.Context, tenantID, ownerID, key string, amount money.Amount) (ledger.Transfer, error) {
	if amount.Sign() <= 0 {
		return ledger.Transfer{}, fmt.Errorf("%w: amount %d is not above zero", ledger.ErrTransfer, amount.Minor)
	}
	draft := ledger.TopUpOf(tenantID, ownerID, amount)
	draft.IdempotencyKey = topUpKey(ownerID, key)
	draft.Reference = paymentOf(tenantID, draft.IdempotencyKey)
	beforePendTopUp.Hit()
	t, err := c.store.Find(ctx, tenantID, draft.IdempotencyKey)
	if errors.Is(err, ledger.ErrNotFound) {
		t, err = c.book(ctx, tenantID, ledger.Request{Action: ledger.ActionPend, Draft: draft})
	}
	if errors.Is(err, ledger.ErrConflict) {
		err = ErrConflict
	}
	if err != nil {
		return ledger.Transfer{}, err
	}
	afterPendTopUp.Hit()
	if booked, err := t.Amount(); err != nil || booked != amount {
		return ledger.Transfer{}, errors.Join(err, ErrConflict)
	}
	return c.finish(ctx, t)
}

// book does one request.
func (c *Cashier) book(ctx context.Context, tenantID string, request ledger.Request) (ledger.Transfer, error) {
	result := c.engine.Book(ctx, tenantID, []ledger.Request{request})[0]
	return result.Transfer, result.Err
}

// payments is the name space of payment ids.
var payments = uuid.MustParse("0e0f0a9e-0d6f-5c5e-9a5a-5f4f6a1f7d55")

// paymentOf is a top-up's id at the provider, the same whenever it is asked
// for.
func paymentOf(tenantID, key string) string {
	return uuid.NewSHA1(payments, []byte(tenantID+"/"+key)).String()
}

// topUpKey keeps the keys of persons, and of top-ups and sales, apart. Ids of
// persons have no slash.
func topUpKey(ownerID, key string) string { return "top_up/" + ownerID + "/" + key }

// finish brings a top-up to its end, or tells the one that it has.
func (c *Cashier) finish(ctx context.Context, t ledger.Transfer) (ledger.Transfer, error) {
	if t.State == ledger.Posted {
		return t, nil
	}
	if t.State == ledger.Voided {
		return ledger.Transfer{}, payment.ErrDeclined
	}
	amount, err := t.Amount()
	if err != nil {
		return ledger.Transfer{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, chargeTimeout)
	defer cancel()
	beforeCharge.Hit()
	declined := c.provider.Charge(bounded, payment.Charge{
		ID: t.Reference, TenantID: t.TenantID, OwnerID: ownerOf(t), Amount: amount,
	})
	afterCharge.Hit()
	if declined != nil && !errors.Is(declined, payment.ErrDeclined) {
		return ledger.Transfer{}, fmt.Errorf("charge payment %s: %w", t.Reference, declined)
	}
	// The provider has decided: what it said is booked even if the caller left.
	ended, err := c.endTopUp(context.WithoutCancel(ctx), t, declined == nil)
	if err != nil {
		return ledger.Transfer{}, err
	}
	if declined != nil {
		return ledger.Transfer{}, declined
	}
	return ended, nil
}

// endTopUp posts or voids a top-up, unless somebody else has done so meanwhile.
func (c *Cashier) endTopUp(ctx context.Context, t ledger.Transfer, post bool) (ledger.Transfer, error) {
	action := ledger.ActionVoid
	if post {
		action = ledger.ActionPost
	}
	beforeEndTopUp.Hit()
	ended, err := c.book(ctx, t.TenantID, ledger.Request{Action: action, Target: ledger.Target{IdempotencyKey: t.IdempotencyKey}})
	if errors.Is(err, ledger.ErrState) {
		ended, err = c.store.Find(ctx, t.TenantID, t.IdempotencyKey)
	}
	afterEndTopUp.Hit()
	return ended, err
}

// ownerOf is whose wallet a top-up is for.
func ownerOf(t ledger.Transfer) string {
	for _, posting := range t.Postings {
		if posting.Purpose == ledger.Wallet {
			return posting.OwnerID
		}
	}
	return ""
}

// Resume asks the provider again for top-ups without an end, at once and then
// from time to time, until ctx ends.
func (c *Cashier) Resume(ctx context.Context) error {
	ticker := time.NewTicker(resumeEvery)
	defer ticker.Stop()
	for {
		if err := c.resumeAll(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("cannot resume top-ups, will try again", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Cashier) resumeAll(ctx context.Context) error {
	for after := ""; ; {
		page, err := c.store.PendingOf(ctx, ledger.TopUp, store.Page{After: after, Limit: resumePage})
		if err != nil {
			return err
		}
		for _, t := range page {
			after = t.ID
			switch _, err := c.finish(ctx, t); {
			case err == nil || errors.Is(err, payment.ErrDeclined):
				c.log.Info("top-up resumed", "transfer_id", t.ID)
			case ctx.Err() == nil:
				c.log.Warn("top-up still has no end", "transfer_id", t.ID, "err", err)
			}
		}
		if len(page) < resumePage || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
