package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// Call is what one caller asks of one ledger.
type Call struct {
	TenantID, Currency string
	// Requests are done in order; those that are linked all or none. They must
	// be valid.
	Requests []ledger.Request
	// Guard, where set, decides whether the call is done, in the same
	// transaction. Then all requests are one chain.
	Guard *Guard
	// Work, where set, is what the call does instead of Requests, alone in its
	// batch; its error undoes all. It may run again.
	Work func(ctx context.Context, tx *Tx) error
	// Refused, where set, is what the call comes to if its guard lets it through.
	Refused error
	// Before, where set, is asked before the call waits for anything; its error
	// is what the call comes to.
	Before func(ctx context.Context) error
	// Within, where set, is called when the call's rows are written, before the
	// commit. Tests die there.
	Within func()

	expire []string // ids of pending transfers to void if their time is over
	change func(book *ledger.Book) error
	ids    []string      // of accounts that change names
	names  []ledger.Name // the same
}

// Guard is the barrier's row of a branch of a global transaction.
type Guard struct {
	Branch *tccv1.Branch
	Phase  tcc.Phase
}

// size is what the call counts for in a batch.
func (c *Call) size() int { return max(1, len(c.Requests)+len(c.expire)) }

// waiting is a call and who waits for it.
type waiting struct {
	call  Call
	ctx   context.Context //nolint:containedctx // the batch looks whether its caller is still there
	state atomic.Int32
	done  chan struct{} // of length 1

	results []ledger.Result
	err     error
}

// States of a call. A batch takes it, or its caller leaves, never both.
const (
	inQueue int32 = iota
	inBatch
	hasLeft
)

// answered are of type *waiting: those whose callers have their answers, so that
// no batch knows them.
var answered sync.Pool

func newWaiting(ctx context.Context, call *Call) *waiting {
	w, ok := answered.Get().(*waiting)
	if !ok {
		w = &waiting{done: make(chan struct{}, 1)}
	}
	w.call, w.ctx = *call, ctx
	w.state.Store(inQueue)
	return w
}

// take moves the call from the queue to a batch, unless its caller has left or
// its context is over.
func (w *waiting) take() bool {
	if w.ctx.Err() != nil {
		w.state.CompareAndSwap(inQueue, hasLeft)
		w.answer(nil, context.Cause(w.ctx))
		return false
	}
	return w.state.CompareAndSwap(inQueue, inBatch)
}

// answer is the last that a batch does with a call.
func (w *waiting) answer(results []ledger.Result, err error) {
	w.results, w.err = results, err
	w.done <- struct{}{}
}

// wait returns what the call came to. It is the last that its caller does with it.
func (w *waiting) wait(ctx context.Context) ([]ledger.Result, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(inQueue, hasLeft) {
			return nil, context.Cause(ctx)
		}
		<-w.done // it is in a batch, and not cut
	}
	results, err := w.results, w.err
	w.call, w.ctx, w.results, w.err = Call{}, nil, nil, nil
	answered.Put(w)
	return results, err
}
