package runner

import (
	"context"
	"time"
)

const (
	retainEvery = time.Minute
	retainBatch = 500 // transactions removed at a time
)

// retain removes transactions that ended Config.Retention ago, in batches with
// pauses as long as they took, until ctx ends.
func (r *Runner) retain(ctx context.Context) {
	if r.config.Retention <= 0 {
		return
	}
	for wait := time.Duration(0); sleep(ctx, wait) == nil; {
		began := r.config.Clock()
		removed, err := r.store.Remove(ctx, began.Add(-r.config.Retention), retainBatch)
		switch {
		case err != nil && ctx.Err() == nil:
			r.config.Log.Warn("cannot remove ended transactions, will try again", "err", err)
			wait = retainEvery
		case removed < retainBatch:
			wait = retainEvery
		default:
			wait = max(r.config.Clock().Sub(began), time.Millisecond)
		}
	}
}
