package ledger

import (
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// Draft is a transfer that is to be booked.
type Draft struct {
	TenantID       string
	Currency       string
	Type           Type
	Reference      string
	XID            string
	IdempotencyKey string
	SplitPolicy    string
	Timeout        time.Duration // of a pending one, whole microseconds; 0 means that it waits for ever
	Lines          []Line
}

// Line is a posting of a draft. It names its account by id, or by purpose and
// owner: then an account that does not exist is opened with the transfer.
type Line struct {
	AccountID string
	Purpose   Purpose
	OwnerID   string // empty for the house's own
	Side      Side
	Amount    money.Amount
}

// Sale drafts the payment of a price, above zero, from a viewer's wallet,
// split by a policy among a creator and the house.
func (p SplitPolicy) Sale(tenantID, viewerID, creatorID string, price money.Amount) (Draft, error) {
	parts, err := p.Split(price)
	if err != nil {
		return Draft{}, err
	}
	draft := Draft{
		TenantID: tenantID, Currency: price.Currency, Type: Sale, SplitPolicy: p.Version(),
		Lines: []Line{{Purpose: Wallet, OwnerID: viewerID, Side: Debit, Amount: price}},
	}
	for _, part := range parts {
		line := Line{Purpose: part.Purpose, Side: Credit, Amount: part.Amount}
		if part.Purpose == Earnings {
			line.OwnerID = creatorID
		}
		draft.Lines = append(draft.Lines, line)
	}
	return draft, nil
}

// TopUpOf drafts money that came in through the payment provider for a
// person's wallet.
func TopUpOf(tenantID, ownerID string, amount money.Amount) Draft {
	return Draft{
		TenantID: tenantID, Currency: amount.Currency, Type: TopUp,
		Lines: []Line{
			{Purpose: Clearing, Side: Debit, Amount: amount},
			{Purpose: Wallet, OwnerID: ownerID, Side: Credit, Amount: amount},
		},
	}
}
