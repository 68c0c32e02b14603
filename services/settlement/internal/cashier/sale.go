package cashier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Sale is what a viewer pays to a creator.
type Sale struct {
	TenantID, XID, BranchID string // the branch of a global transaction
	OrderID                 string
	ViewerID, CreatorID     string
	AffiliateID             string // who brought the viewer; may be empty
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
	earnings, found, err := tx.Account(ctx, sale.TenantID, sale.CreatorID, ledger.Earnings, sale.Price.Currency)
	if err != nil {
		return err
	}
	earned := money.Amount{Currency: sale.Price.Currency}
	if found {
		earned = earnings.Balance.CreditsPosted
	}
	parts, err := policy.Split(split.Sale{Price: sale.Price, Earned: earned, Affiliate: sale.AffiliateID != ""})
	if err != nil {
		return err
	}
	_, err = tx.Pend(ctx, sale.draft(policy.Version(), parts))
	return err
}

// draft is the transfer of the price from the viewer's wallet to those who
// get a part of it.
func (s Sale) draft(policy string, parts []split.Part) ledger.Draft {
	draft := ledger.Draft{
		TenantID: s.TenantID, Currency: s.Price.Currency, Type: ledger.Sale, SplitPolicy: policy,
		Reference: s.OrderID, XID: s.XID, IdempotencyKey: saleKey(s.XID, s.BranchID),
		Lines: []ledger.Line{{Purpose: ledger.Wallet, OwnerID: s.ViewerID, Side: ledger.Debit, Amount: s.Price}},
	}
	for _, part := range parts {
		line := ledger.Line{Side: ledger.Credit, Amount: part.Amount}
		line.Purpose, line.OwnerID = s.account(part.Payee)
		same := func(other ledger.Line) bool {
			return other.Purpose == line.Purpose && other.OwnerID == line.OwnerID
		}
		if at := slices.IndexFunc(draft.Lines, same); at >= 0 {
			draft.Lines[at].Amount.Minor += part.Amount.Minor // at most the price
			continue
		}
		draft.Lines = append(draft.Lines, line)
	}
	return draft
}

// account is where a payee gets its part.
func (s Sale) account(payee split.Payee) (ledger.Purpose, string) {
	switch payee.Kind {
	case split.Platform:
		return ledger.Platform, ""
	case split.Tax:
		return ledger.Tax, ""
	case split.Affiliate:
		return ledger.Earnings, s.AffiliateID
	case split.Account:
		return ledger.Earnings, payee.AccountID
	default: // split.Creator
		return ledger.Earnings, s.CreatorID
	}
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
