package engine

import (
	"context"
	"errors"

	"github.com/backlot-video/backlot/kit/admission"
	"github.com/backlot-video/backlot/kit/tcc"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// holdKey is a context's, of the room that Look has kept.
type holdKey struct{}

// Look returns the *admission.Refusal that so many requests of a tenant would
// get now, or keeps room for them: until they are done in the context that it
// returns, or until release. It is asked before they are read; Do asks again.
func (e *Engine) Look(ctx context.Context, tenantID string, requests int) (held context.Context, release func(), err error) {
	if e.config.Admission == nil {
		return ctx, func() {}, nil
	}
	hold, err := e.config.Admission.Look(ctx, admission.Work{Tenant: tenantID, Cost: requests})
	return context.WithValue(ctx, holdKey{}, hold), hold.Release, err
}

// work is what a call is at the door. A ledger is a shard.
func (c *Call) work(ctx context.Context) admission.Work {
	hold, _ := ctx.Value(holdKey{}).(*admission.Hold)
	return admission.Work{
		Tenant: c.TenantID, Shard: c.TenantID + "/" + c.Currency, Cost: c.size(), Decided: c.decided(), Hold: hold,
	}
}

// decided tells whether a call only ends what was begun: nobody may refuse it.
func (c *Call) decided() bool {
	if c.Guard != nil {
		return c.Guard.Phase != tcc.Try
	}
	if len(c.Requests) == 0 {
		return len(c.expire) > 0
	}
	for i := range c.Requests {
		if action := c.Requests[i].Action; action != ledger.ActionPost && action != ledger.ActionVoid {
			return false
		}
	}
	return true
}

// failure is an error of a batch as a whole: the database is sick.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// outcomeOf tells what an error says of the database. What is refused by the
// rules of bookkeeping is no failure.
func outcomeOf(err error) admission.Outcome {
	var failed failure
	switch {
	case errors.As(err, &failed):
		return admission.Failed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, ErrClosed), errors.Is(err, ledger.ErrBusy):
		return admission.Undecided
	default:
		return admission.Succeeded
	}
}
