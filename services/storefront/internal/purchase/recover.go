package purchase

import (
	"context"
	"time"
)

const (
	// recoverEvery is the time between two looks for unfinished orders.
	recoverEvery = 2 * time.Second
	// settleTime is how long an order may rest in the hands of its own call.
	settleTime = 2 * time.Second
	// recoverBatch bounds one look.
	recoverBatch = 100
	// advanceTime bounds the work on one order.
	advanceTime = 20 * time.Second
)

// Recover drives orders that a stop or a failure left unfinished, at once
// those of before the start, later those that rest too long. It returns
// when ctx ends.
func (d *Driver) Recover(ctx context.Context) error {
	since := d.Clock()
	for {
		d.sweep(ctx, since)
		timer := time.NewTimer(recoverEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		since = d.Clock().Add(-settleTime)
	}
}

func (d *Driver) sweep(ctx context.Context, since time.Time) {
	orders, err := d.Store.Unfinished(ctx, since, recoverBatch)
	if err != nil {
		if ctx.Err() == nil {
			d.Log.Error("cannot look for unfinished orders", "err", err)
		}
		return
	}
	for _, o := range orders {
		if ctx.Err() != nil {
			return
		}
		one, cancel := context.WithTimeout(ctx, advanceTime)
		done, err := d.Advance(one, o)
		cancel()
		switch {
		case err != nil:
			d.Log.Debug("order still waits", "order_id", o.ID, "err", err)
		case done.State.Done():
			d.Log.Info("unfinished order ended", "order_id", o.ID, "state", int(done.State))
		}
	}
}
