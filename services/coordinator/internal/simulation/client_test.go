package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// order is one transaction that a client wants.
type order struct {
	key      runner.Key
	mode     tcc.Mode
	branches []tcc.Branch
	timeout  time.Duration
	dice     *dice

	// What the client was told. Only its goroutine writes.
	accepted bool
	outcome  tcc.State // Confirmed or Cancelled once it was told the decision; else 0
}

// newOrder draws a transfer from one source to one or more sinks. Its xids are
// prefixes of each other.
func newOrder(w *world, n int) *order {
	key := runner.Key{TenantID: "main", XID: "order-1" + "000000000"[:n]}
	o := &order{key: key, dice: w.dice("order " + key.XID)}
	o.mode = []tcc.Mode{tcc.TCC, tcc.TCC, tcc.Saga, tcc.Initiator}[o.dice.IntN(4)]
	if w.mode != 0 {
		o.mode = w.mode
	}
	o.timeout = o.dice.between(300, 3000)
	sinks := 1 + o.dice.IntN(3)
	amount := int64(1 + o.dice.IntN(400))
	add := func(id string, l leg) {
		o.branches = append(o.branches, tcc.Branch{ID: id, Service: "bank", Action: "move"})
		w.bank.add(key.XID, id, l)
	}
	add("b", leg{account: fmt.Sprintf("source-%d", o.dice.IntN(2)), amount: -amount, saga: o.mode == tcc.Saga})
	for i := range sinks {
		part := amount / int64(sinks-i)
		amount -= part
		add(fmt.Sprintf("b%d", i), leg{account: fmt.Sprintf("sink-%d", i), amount: part, saga: o.mode == tcc.Saga})
	}
	return o
}

func (o *order) submission(wait runner.Wait) runner.Submission {
	s := runner.Submission{Key: o.key, Timeout: o.timeout, Wait: wait, Spec: tcc.Spec{Mode: o.mode}}
	if o.mode != tcc.Initiator {
		s.Spec.Branches = o.branches
	}
	return s
}

// told checks what a client hears against what it has heard before.
func (o *order) told(w *world, status runner.Status) {
	o.accepted = true
	said := tcc.State(0)
	switch status.State {
	case tcc.Confirming, tcc.Confirmed:
		said = tcc.Confirmed
	case tcc.Cancelling, tcc.Cancelled:
		said = tcc.Cancelled
	case tcc.Trying, tcc.Parked:
		return
	}
	if o.outcome != 0 && o.outcome != said {
		w.fault("%s was told to be %v, then %v", o.key.XID, o.outcome, said)
	}
	o.outcome = said
}

// client has one order carried out, until the world is calm.
func (w *world) client(o *order) {
	pass(w.stormy, o.dice.between(0, 2000))
	for attempt := 0; w.faulty() && attempt < 6; attempt++ {
		ctx, cancel := context.WithTimeout(w.stormy, o.dice.between(50, 3000))
		wait := runner.Wait(1 + o.dice.IntN(3))
		status, err := w.some(o.dice).Submit(ctx, o.submission(wait))
		cancel()
		if err == nil {
			o.told(w, status)
			if o.mode == tcc.Initiator {
				w.initiate(o)
				return
			}
			if o.dice.chance(0.1) {
				w.decide(o, func(ctx context.Context, l *link) (runner.Status, error) {
					return l.Cancel(ctx, o.key, runner.WaitDecided, "changed my mind")
				})
			}
			if o.dice.chance(0.6) {
				return
			}
		} else if errors.Is(err, runner.ErrConflict) {
			w.fault("%s: %v", o.key.XID, err)
		}
		pass(w.stormy, o.dice.between(1, 600))
	}
}

// initiate registers branches, calls their Try and decides, unless the
// initiator dies on the way.
func (w *world) initiate(o *order) {
	for _, branch := range o.branches {
		if o.dice.chance(0.05) {
			return
		}
		if !w.register(o, branch) || !w.try(o, branch) {
			w.decide(o, func(ctx context.Context, l *link) (runner.Status, error) {
				return l.Cancel(ctx, o.key, runner.WaitDecided, "a branch refused")
			})
			return
		}
	}
	w.decide(o, func(ctx context.Context, l *link) (runner.Status, error) {
		return l.Confirm(ctx, o.key, runner.WaitDecided)
	})
}

func (w *world) register(o *order, branch tcc.Branch) bool {
	for attempt := 0; w.faulty() && attempt < 4; attempt++ {
		ctx, cancel := context.WithTimeout(w.stormy, o.dice.between(50, 800))
		err := w.some(o.dice).Register(ctx, o.key, branch)
		cancel()
		switch {
		case err == nil:
			return true
		case errors.Is(err, tcc.ErrDecided):
			return false
		case errors.Is(err, tcc.ErrBranch), errors.Is(err, tcc.ErrMode), errors.Is(err, tcc.ErrSpec), errors.Is(err, runner.ErrNotFound):
			w.fault("register %s of %s: %v", branch.ID, o.key.XID, err)
		}
		pass(w.stormy, o.dice.between(1, 100))
	}
	return false
}

func (w *world) try(o *order, branch tcc.Branch) bool {
	for attempt := 0; w.faulty() && attempt < 4; attempt++ {
		ctx, cancel := context.WithTimeout(w.stormy, 300*time.Millisecond)
		outcome, _ := network{world: w}.Call(ctx, o.key, branch, tcc.Try)
		cancel()
		if outcome != tcc.Failed {
			return outcome == tcc.Succeeded
		}
	}
	return false
}

func (w *world) decide(o *order, ask func(context.Context, *link) (runner.Status, error)) {
	for attempt := 0; w.faulty() && attempt < 4; attempt++ {
		ctx, cancel := context.WithTimeout(w.stormy, o.dice.between(50, 1500))
		status, err := ask(ctx, w.some(o.dice))
		cancel()
		if err == nil {
			o.told(w, status)
			return
		}
		if errors.Is(err, tcc.ErrDecided) {
			return
		}
		pass(w.stormy, o.dice.between(1, 200))
	}
}

// operator sees to what is parked: it has it called again, or does by hand
// what is due and says so.
func (w *world) operator(ctx context.Context) {
	dice := w.dice("operator")
	for ctx.Err() == nil {
		pass(ctx, dice.between(100, 400))
		for _, key := range w.memory.parked() {
			bounded, cancel := context.WithTimeout(ctx, time.Second)
			w.unpark(bounded, dice, key)
			cancel()
		}
	}
}

func (w *world) unpark(ctx context.Context, dice *dice, key runner.Key) {
	l := w.some(dice)
	if dice.IntN(2) == 0 {
		_, err := l.Retry(ctx, key)
		w.meet("retry")
		w.note("operator retries %s: %v", key.XID, err)
		return
	}
	status, err := l.Get(ctx, key)
	if err != nil || status.State != tcc.Parked {
		return
	}
	for i, branch := range status.Spec.Branches {
		due := map[tcc.BranchState]tcc.Phase{tcc.BranchConfirming: tcc.Confirm, tcc.BranchCancelling: tcc.Cancel}[status.Branches[i].State]
		if due == 0 {
			continue
		}
		w.bank.act(key.XID+"/"+branch.ID, due, false)
		w.meet("force")
		_, err := l.Force(ctx, key, due, branch.ID, "by hand")
		w.note("operator forces %s/%s to %v: %v", key.XID, branch.ID, due, err)
	}
}
