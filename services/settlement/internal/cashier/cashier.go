// Package cashier books what comes in and goes out beside the sales between
// accounts: top-ups through the payment provider, and a sale's branch of a
// global transaction.
//
//	cashier.go  Cashier and its errors
//	topup.go    top-ups, and the recovery of those that were cut short
//	sale.go     hold, pay and release the price of a sale
//
// A top-up is booked as pending before the provider is asked, so that a
// process that dies on the way finds it again and asks anew, with the same id.
// Access to accounts is decided by callers. A Cashier is safe for concurrent
// use.
package cashier

import (
	"errors"
	"log/slog"

	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ErrConflict means an idempotency key that was used for something else.
var ErrConflict = errors.New("idempotency key was used for another request")

// Policies gives split policies by name.
type Policies interface {
	// Policy returns a policy, policy.ErrUnknown or policy.ErrNotReady.
	Policy(name string) (split.Policy, error)
}

// Cashier books top-ups and sales.
type Cashier struct {
	store    *store.Store
	engine   *engine.Engine
	provider payment.Provider
	policies Policies
	log      *slog.Logger
}

// New makes a Cashier.
func New(
	store *store.Store, engine *engine.Engine, provider payment.Provider, policies Policies, log *slog.Logger,
) *Cashier {
	return &Cashier{store: store, engine: engine, provider: provider, policies: policies, log: log}
}
