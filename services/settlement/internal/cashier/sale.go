package cashier

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Sale is what a viewer pays to a creator.
type Sale struct {
	TenantID, XID, BranchID string // the branch of a global transaction
	OrderID                 string
	ViewerID, CreatorID     string
	Price                   money.Amount
	SplitPolicy             string // by name
}

// ErrSale means a sale that lacks something.
var ErrSale = errors.New("invalid sale")

// Hold takes the price out of the viewer's wallet without paying it to anyone
// yet: a pending transfer, split by the policy as it is now. It returns
// ledger.ErrInsufficientFunds, ErrSale or another error of the domain.
func (c *Cashier) Hold(ctx context.Context, tx *store.Tx, sale Sale) error {
	for _, field := range []struct{ name, value string }{
		{"order_id", sale.OrderID}, {"viewer_id", sale.ViewerID}, {"creator_id", sale.CreatorID},
	} {
		if field.value == "" {
			return fmt.Errorf("%w: %s: must not be empty", ErrSale, field.name)
		}
	}
	policy, err := c.policies.Policy(sale.SplitPolicy)
	if err != nil {
		return err
	}
	draft, err := policy.Sale(sale.TenantID, sale.ViewerID, sale.CreatorID, sale.Price)
	if err != nil {
		return err
	}
	draft.Reference, draft.XID, draft.IdempotencyKey = sale.OrderID, sale.XID, saleKey(sale.XID, sale.BranchID)
	_, err = tx.Pend(ctx, draft)
	return err
}

// Pay posts what Hold holds.
func (c *Cashier) Pay(ctx context.Context, tx *store.Tx, tenantID, xid, branchID string) error {
	_, err := tx.Post(ctx, tenantID, saleKey(xid, branchID))
	return err
}

// Release gives back what Hold holds.
func (c *Cashier) Release(ctx context.Context, tx *store.Tx, tenantID, xid, branchID string) error {
	_, err := tx.Void(ctx, tenantID, saleKey(xid, branchID))
	return err
}

// saleKey is a branch's; branch ids have no slash, so it is one branch's alone.
func saleKey(xid, branchID string) string { return "branch/" + branchID + "/" + xid }
