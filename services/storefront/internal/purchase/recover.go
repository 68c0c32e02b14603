package purchase

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/backlot-video/backlot/services/storefront/internal/order"
)

const (
	// recoverEvery is the time between two looks for unfinished orders.
	recoverEvery = 2 * time.Second
	// settleTime is how long an order may rest in the hands of its own call.
	settleTime = 2 * time.Second
	// recoverBatch bounds one look.
	recoverBatch = 1000
	// recoverAtOnce bounds the orders that one look drives at a time.
	recoverAtOnce = 8
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
	var group errgroup.Group
	group.SetLimit(recoverAtOnce)
	for _, o := range orders {
		group.Go(func() error {
			d.resume(ctx, o)
			return nil
		})
	}
	_ = group.Wait() // resume fails by its log
}

// resume drives one order that rests.
func (d *Driver) resume(ctx context.Context, o order.Order) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, advanceTime)
	defer cancel()
	done, err := d.Advance(ctx, o)
	switch {
	case err != nil:
		d.Log.Debug("order still waits", "order_id", o.ID, "err", err)
	case done.State.Done():
		d.Log.Info("unfinished order ended", "order_id", o.ID, "state", int(done.State))
	}
}
