package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// event is what an order does to a machine. It may be run again: then it has
// an empty output.
type event func(m *tcc.Machine) (tcc.Output, error)

// order is an event for the goroutine of a drive, which answers on done.
type order struct {
	event event
	done  chan error // of length 1
}

// Register adds a branch to a transaction that an initiator has opened. When
// it returns nil the branch is durable, and its Try may be called. Errors are
// those of tcc.Machine.Register, ErrNotFound, ErrBusy and ErrStopped.
func (r *Runner) Register(ctx context.Context, key Key, branch tcc.Branch) error {
	_, err := r.order(ctx, key, func(m *tcc.Machine) (tcc.Output, error) { return m.Register(branch) })
	return err
}

// Confirm decides a transaction that an initiator has opened and returns as
// wait says. Errors are those of tcc.Machine.Confirm and of Register.
func (r *Runner) Confirm(ctx context.Context, key Key, wait Wait) (Status, error) {
	return r.decide(ctx, key, wait, (*tcc.Machine).Confirm)
}

// Cancel decides a transaction in its Try phase for Cancel and returns as wait
// says. Errors are those of tcc.Machine.Cancel and of Register.
func (r *Runner) Cancel(ctx context.Context, key Key, wait Wait, why string) (Status, error) {
	return r.decide(ctx, key, wait, func(m *tcc.Machine) (tcc.Output, error) { return m.Cancel(why) })
}

func (r *Runner) decide(ctx context.Context, key Key, wait Wait, event event) (Status, error) {
	if wait == 0 {
		wait = WaitDecided
	}
	d, err := r.order(ctx, key, event)
	if err != nil {
		return Status{}, err
	}
	status, err := d.wait(ctx, wait)
	if errors.Is(err, ErrLost) {
		return r.poll(ctx, key, wait)
	}
	return status, err
}

// Retry calls the due phase of a parked transaction again and returns the
// transaction as it is then. In any other state it changes nothing.
func (r *Runner) Retry(ctx context.Context, key Key) (Status, error) {
	d, err := r.order(ctx, key, func(m *tcc.Machine) (tcc.Output, error) { return m.Retry(), nil })
	if err != nil {
		return Status{}, err
	}
	return d.status(), nil
}

// Force takes a branch, or with no id all that have not ended, for confirmed
// or cancelled as phase says; tcc.Machine.Force tells more. why is kept.
func (r *Runner) Force(ctx context.Context, key Key, phase tcc.Phase, branchID, why string) (Status, error) {
	d, err := r.order(ctx, key, func(m *tcc.Machine) (tcc.Output, error) {
		branch := tcc.Whole
		for i, known := range m.Spec().Branches {
			if known.ID == branchID {
				branch = i
			}
		}
		if branchID != "" && branch == tcc.Whole {
			return tcc.Output{}, fmt.Errorf("force branch %s: %w", branchID, tcc.ErrNoBranch)
		}
		return m.Force(phase, branch, why)
	})
	if err != nil {
		return Status{}, err
	}
	return d.status(), nil
}

// orderAttempts is how often an order is given again that met a change of
// owners.
const orderAttempts = 20

// order gives an event to a transaction, wherever it is under way, and returns
// when it is durable. A transaction that another coordinator drives becomes
// this one's, whose caller is here; one that has ended, or that the event
// leaves as it is, stays where it is.
func (r *Runner) order(ctx context.Context, key Key, event event) (*drive, error) {
	for attempt := 2; ; attempt++ {
		d, fresh, err := r.claim(key)
		if err != nil {
			return nil, err
		}
		if fresh {
			err = d.take(ctx, event)
		} else {
			err = d.give(ctx, event)
		}
		if !errors.Is(err, ErrLost) && !errors.Is(err, errRetryClaim) {
			return d, err
		}
		if attempt > orderAttempts {
			return nil, fmt.Errorf("transaction %s changes its owner again and again: %w", key.XID, ErrLost)
		}
		if err := sleep(ctx, r.backoff.wait(attempt)); err != nil {
			return nil, err
		}
	}
}

// give hands an event to a drive that is under way.
func (d *drive) give(ctx context.Context, event event) error {
	if err := d.begun(ctx); err != nil {
		return err
	}
	given := order{event: event, done: make(chan error, 1)}
	select {
	case d.orders <- given:
	case <-d.over:
		return errRetryClaim
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-given.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take drives a transaction that is not under way here, beginning with an
// event. Where that changes nothing it only looks.
func (d *drive) take(ctx context.Context, event event) error {
	logged, err := d.runner.store.Load(ctx, d.key)
	if err != nil {
		return d.abandon(err)
	}
	if d.machine, err = tcc.Restore(logged.Spec, d.runner.config.Attempts, logged.Log); err != nil {
		return d.abandon(fmt.Errorf("transaction %s: %w", d.key.XID, err))
	}
	out, err := event(d.machine)
	if err != nil {
		return d.abandon(err)
	}
	if len(out.Records) == 0 {
		d.publish(logged.Transaction)
		return d.abandon(nil)
	}
	t := d.after(logged.Transaction)
	beforeReopenLog.Hit()
	if err := d.runner.store.Reopen(ctx, d.session.lease.ID, t, out.Records); err != nil {
		if !errors.Is(err, ErrLost) {
			d.session.sign() // it may have been written all the same
		}
		return d.abandon(fmt.Errorf("transaction %s: %w", d.key.XID, err))
	}
	afterReopenLog.Hit()
	d.publish(t)
	close(d.started)
	// What another coordinator was about to call is called again from here.
	go d.run(context.WithoutCancel(ctx), d.machine.Resume().Calls)
	return nil
}

// obey runs an event and answers when it is durable. It returns false if the
// transaction is no longer this drive's.
func (d *drive) obey(ctx context.Context, given order) bool {
	for {
		out, err := given.event(d.machine)
		if err != nil || len(out.Records) == 0 {
			given.done <- err
			return true
		}
		calls, ok := d.append(ctx, out)
		if !ok {
			given.done <- ErrLost
			return false
		}
		d.call(ctx, calls)
		// Once more: the store may have failed, and the machine be made anew.
	}
}
