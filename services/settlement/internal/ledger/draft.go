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
