package cashier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/refund"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Refund is what is to be taken back of a sale.
type Refund struct {
	TenantID string
	OrderID  string       // of the sale
	Amount   money.Amount // the zero Amount means all that is left
	Kind     ledger.Type  // ledger.Refund or ledger.Chargeback
	XID      string       // of the global transaction; empty for none
	Key      string       // idempotency key of the transfer
}

// BranchKey is the idempotency key of what a branch of a global transaction
// books.
func BranchKey(xid, branchID string) string { return saleKey(xid, branchID) }

// maxOfOrder is more transfers than one order has: a sale, its refunds, and as
// many again that were voided.
const maxOfOrder = 2*refund.MaxRefunds + 2

// HoldRefund takes back a sale's money from those who got it, without giving it
// to anyone yet: a pending transfer. Pay and Release end it. It returns the
// errors of package refund, or ledger.ErrInsufficientFunds where the house's
// own accounts are short.
func (c *Cashier) HoldRefund(ctx context.Context, tx *engine.Tx, r Refund) (ledger.Transfer, error) {
	if r.OrderID == "" {
		return ledger.Transfer{}, fmt.Errorf("%w: order_id: must not be empty", ErrSale)
	}
	booked, err := tx.ByReference(ctx, r.TenantID, r.OrderID, maxOfOrder)
	if err != nil {
		return ledger.Transfer{}, err
	}
	at := slices.IndexFunc(booked, func(t ledger.Transfer) bool {
		return t.Type == ledger.Sale && t.State == ledger.Posted
	})
	if at < 0 {
		return ledger.Transfer{}, fmt.Errorf("%w: order %s has none", refund.ErrSale, r.OrderID)
	}
	if len(booked) == maxOfOrder {
		return ledger.Transfer{}, fmt.Errorf("%w: order %s", refund.ErrTooMany, r.OrderID)
	}
	sale := booked[at]
	left, err := refund.Of(sale, booked)
	if err != nil {
		return ledger.Transfer{}, fmt.Errorf("refund order %s: %w", r.OrderID, err)
	}
	draft, err := left.Draft(r.Kind, r.Amount, func(ownerID string) (money.Amount, error) {
		account, found, err := tx.Account(ctx, r.TenantID, ownerID, ledger.Earnings, sale.Currency)
		if err != nil || !found {
			return money.Amount{Currency: sale.Currency}, err
		}
		return account.Available()
	})
	if err != nil {
		return ledger.Transfer{}, fmt.Errorf("refund order %s: %w", r.OrderID, err)
	}
	draft.XID, draft.IdempotencyKey = r.XID, r.Key
	return tx.Pend(ctx, draft)
}

// RefundSale takes back a sale's money and gives it away at once. The same key
// gives the same transfer; for another order, kind or amount it gives
// ErrConflict.
func (c *Cashier) RefundSale(ctx context.Context, r Refund) (t ledger.Transfer, err error) {
	currency, err := c.CurrencyOf(ctx, r)
	if err != nil {
		return ledger.Transfer{}, err
	}
	r.Key = "refund/" + r.Key
	err = c.engine.Write(ctx, r.TenantID, currency, func(ctx context.Context, tx *engine.Tx) error {
		t, err = tx.Find(ctx, r.TenantID, r.Key)
		if err == nil {
			return r.is(t)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err := c.HoldRefund(ctx, tx, r); err != nil {
			return err
		}
		t, err = tx.Post(ctx, r.TenantID, r.Key)
		return err
	})
	return t, err
}

// is tells whether a transfer is what r asks for.
func (r Refund) is(t ledger.Transfer) error {
	amount, err := t.Amount()
	if err != nil {
		return err
	}
	if t.Reference != r.OrderID || t.Type != r.Kind || r.Amount != (money.Amount{}) && r.Amount != amount {
		return ErrConflict
	}
	return nil
}

// CurrencyOf is the currency of the ledger that the sale is booked in.
func (c *Cashier) CurrencyOf(ctx context.Context, r Refund) (string, error) {
	booked, err := c.store.Transfers(ctx, r.TenantID, r.OrderID, store.Page{Limit: maxOfOrder})
	if err != nil {
		return "", err
	}
	for _, t := range booked {
		if t.Type == ledger.Sale && t.State == ledger.Posted {
			return t.Currency, nil
		}
	}
	return "", fmt.Errorf("%w: order %s has none", refund.ErrSale, r.OrderID)
}
