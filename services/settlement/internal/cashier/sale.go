package cashier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
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

// Hold asks to take the price out of the viewer's wallet without paying it to
// anyone yet: a pending transfer, split by the policy as it is now. What is
// wrong with the sale, ErrSale or another error of the domain, is what the call
// comes to.
func (c *Cashier) Hold(ctx context.Context, sale Sale) engine.Call {
	call := engine.Call{TenantID: sale.TenantID, Currency: sale.Price.Currency}
	draft, err := c.plan(ctx, sale)
	if err != nil {
		call.Refused = err
		return call
	}
	call.Requests = []ledger.Request{{Action: ledger.ActionPend, Draft: draft}}
	call.Before = func(ctx context.Context) error { return c.covered(ctx, sale) }
	return call
}

// covered returns ledger.ErrInsufficientFunds where the wallet lacks the price,
// so that what is hopeless takes nobody's place. The booking itself checks
// again. A repeat finds what it has taken from the wallet.
func (c *Cashier) covered(ctx context.Context, sale Sale) error {
	wallet, found, err := c.store.Account(ctx, sale.TenantID, sale.ViewerID, ledger.Wallet, sale.Price.Currency)
	if err != nil {
		return err
	}
	available := money.Amount{Currency: sale.Price.Currency}
	if found {
		if available, err = wallet.Available(); err != nil {
			return err
		}
	}
	short, err := sale.Price.Sub(available)
	if err != nil || short.Sign() <= 0 {
		return err
	}
	_, err = c.Held(ctx, sale.TenantID, sale.XID, sale.BranchID)
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w: %s is short of %s", ledger.ErrInsufficientFunds, ledger.Wallet, short)
	}
	return err
}

// plan splits a sale.
func (c *Cashier) plan(ctx context.Context, sale Sale) (ledger.Draft, error) {
	for _, field := range []struct{ name, value string }{
		{"order_id", sale.OrderID}, {"viewer_id", sale.ViewerID}, {"creator_id", sale.CreatorID},
	} {
		if field.value == "" {
			return ledger.Draft{}, fmt.Errorf("%w: %s: must not be empty", ErrSale, field.name)
		}
	}
	policy, err := c.policies.Policy(sale.SplitPolicy)
	if err != nil {
		return ledger.Draft{}, err
	}
	earned, err := c.earned(ctx, sale)
	if err != nil {
		return ledger.Draft{}, err
	}
	parts, err := policy.Split(split.Sale{Price: sale.Price, Earned: earned, Affiliate: sale.AffiliateID != ""})
	if err != nil {
		return ledger.Draft{}, err
	}
	return sale.draft(policy.Version(), parts), nil
}

// earned is what was credited to the creator in the price's currency so far,
// refunds and payouts not deducted. Sales that are held at the same time do not
// see each other.
func (c *Cashier) earned(ctx context.Context, sale Sale) (money.Amount, error) {
	account, found, err := c.store.Account(ctx, sale.TenantID, sale.CreatorID, ledger.Earnings, sale.Price.Currency)
	if err != nil || !found {
		return money.Amount{Currency: sale.Price.Currency}, err
	}
	return account.Balance.CreditsPosted, nil
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

// Pay asks to post what Hold holds.
func (c *Cashier) Pay(tenantID, currency, xid, branchID string) engine.Call {
	return end(ledger.ActionPost, tenantID, currency, saleKey(xid, branchID))
}

// Release asks to give back what Hold holds.
func (c *Cashier) Release(tenantID, currency, xid, branchID string) engine.Call {
	return end(ledger.ActionVoid, tenantID, currency, saleKey(xid, branchID))
}

func end(action ledger.Action, tenantID, currency, key string) engine.Call {
	return engine.Call{TenantID: tenantID, Currency: currency, Requests: []ledger.Request{
		{Action: action, Target: ledger.Target{IdempotencyKey: key}},
	}}
}

// Held returns the transfer that Hold has booked, or ledger.ErrNotFound.
func (c *Cashier) Held(ctx context.Context, tenantID, xid, branchID string) (ledger.Transfer, error) {
	return c.store.Find(ctx, tenantID, saleKey(xid, branchID))
}

// saleKey is a branch's; branch ids have no slash, so it is one branch's alone.
func saleKey(xid, branchID string) string { return "branch/" + branchID + "/" + xid }
