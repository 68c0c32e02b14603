// Package order holds the life of an order and of the entitlement that it
// reserves and grants. It is pure: callers load and store.
package order

import (
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// State is a step of an order's life; the numbers are those of the contract
// and of the database.
type State int

// The states. Paid, Refused, Review and Refunded are ends for the driver.
const (
	Pending State = 1 // durable, risk not yet decided
	Paying  State = 2 // allowed; the global transaction decides
	Paid    State = 3
	Refused State = 4
	Review  State = 5 // a person has to look; nothing is charged

	Refunded State = 6 // was paid; the money is back
)

// Done tells whether nothing is left to drive.
func (s State) Done() bool { return s == Paid || s == Refused || s == Review || s == Refunded }

var (
	// ErrOwned means that the viewer has the video already.
	ErrOwned = errors.New("viewer owns the video already")
	// ErrBusy means that another order of the viewer for the video is under
	// way.
	ErrBusy = errors.New("another order for this video is under way")
	// ErrPriceChanged means that the price differs from what the buyer saw.
	ErrPriceChanged = errors.New("price has changed")
	// ErrOwnVideo means a creator who buys from itself.
	ErrOwnVideo = errors.New("creators cannot buy their own videos")
	// ErrNotPaid means an order that is not, or no longer, paid.
	ErrNotPaid = errors.New("order is not paid")
	// ErrRefund means a refund that a participant has refused.
	ErrRefund = errors.New("refund was refused")
	// ErrKeyReused means an idempotency key with another video.
	ErrKeyReused = errors.New("idempotency key was used for another video")
)

// Verdict is what rules said.
type Verdict int

// The verdicts, by strictness; the numbers are those of the contract.
const (
	Allow     Verdict = 1
	Challenge Verdict = 2
	Hold      Verdict = 3
	Deny      Verdict = 4
)

// Next is the state that follows a verdict. A challenge needs the buyer's
// bank, which the payment provider asks; until there is one it is held for
// review.
func (v Verdict) Next() State {
	switch v {
	case Allow:
		return Paying
	case Deny:
		return Refused
	default:
		return Review
	}
}

// Order is one purchase.
type Order struct {
	ID, TenantID                 string
	ViewerID, VideoID, CreatorID string
	Price                        money.Amount
	State                        State
	Problem                      string
	Risk                         []byte // storefront.v1.RiskDecision, wire format; empty before
	XID                          string
	IdempotencyKey               string
	Instrument, Device           string
	CreatedAt, UpdatedAt         time.Time
}

// EntitlementState is a step of an entitlement's life; the numbers are
// those of the contract and of the database.
type EntitlementState int

// The states.
const (
	Reserved EntitlementState = 1
	Granted  EntitlementState = 2
	Released EntitlementState = 3
	Revoked  EntitlementState = 4
)

// Entitlement is the right of a viewer to watch a video.
type Entitlement struct {
	TenantID, ViewerID, VideoID string
	OrderID                     string
	State                       EntitlementState
	UpdatedAt                   time.Time
}

// Reserve holds the entitlement for an order. current is the pair's
// entitlement, nil when there is none.
func Reserve(current *Entitlement, wanted Entitlement) (Entitlement, error) {
	if current != nil {
		switch {
		case current.State == Granted:
			return Entitlement{}, ErrOwned
		case current.State == Reserved && current.OrderID != wanted.OrderID:
			return Entitlement{}, ErrBusy
		}
	}
	wanted.State = Reserved
	return wanted, nil
}

// Revoke takes the entitlement of an order back. current is the pair's
// entitlement, nil when there is none.
func Revoke(current *Entitlement, wanted Entitlement) (Entitlement, error) {
	if current == nil || current.State != Granted || current.OrderID != wanted.OrderID {
		return Entitlement{}, ErrNotPaid
	}
	wanted.State = Revoked
	return wanted, nil
}
