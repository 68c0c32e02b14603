package simulation

import (
	"context"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// patience is how long a calm world may take to bring a transaction to its
// end.
const patience = 2 * time.Minute

// finish waits until a transaction has ended. One that was never stored is
// submitted, unless its initiator has to open it.
func (w *world) finish(l *link, o *order) {
	if o.mode != tcc.Initiator {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if _, err := l.Submit(ctx, o.submission(runner.WaitAccepted)); err != nil {
			w.fault("%s is submitted again: %v", o.key.XID, err)
		}
	}
	for began := time.Now(); time.Since(began) < patience; pass(context.Background(), 100*time.Millisecond) {
		status, err := l.Get(context.Background(), o.key)
		if err != nil || status.State.Ended() {
			return // check tells
		}
	}
}

// check is the oracle.
func (w *world) check(orders []*order) {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	w.bank.mu.Lock()
	defer w.bank.mu.Unlock()
	sinks := map[string]int64{}
	for _, o := range orders {
		r := w.memory.rows[o.key]
		if r == nil {
			if o.accepted {
				w.fault("%s was accepted and is lost", o.key.XID)
			}
			continue
		}
		w.checkOne(o, r, sinks)
	}
	total := int64(0)
	for name, a := range w.bank.accounts {
		total += a.balance
		if a.held != 0 {
			w.fault("%s still holds %d", name, a.held)
		}
		if want, isSink := sinks[name], name[:4] == "sink"; isSink && a.balance != want {
			w.fault("%s has %d, and %d were confirmed", name, a.balance, want)
		}
	}
	if total != 2*opening {
		w.fault("there are %d in all, and there were %d", total, 2*opening)
	}
}

// checkOne holds one transaction against its log, its branches and what its
// client was told. It adds what a confirmed one has moved.
func (w *world) checkOne(o *order, r *row, sinks map[string]int64) {
	xid := o.key.XID
	machine, err := tcc.Restore(r.Spec, 3, r.log)
	if err != nil {
		w.fault("%s: %v", xid, err)
		return
	}
	switch {
	case !r.State.Ended():
		w.fault("%s has not ended: %v, %s", xid, r.State, r.Problem)
		return
	case machine.State() != r.State:
		w.fault("%s is %v, by its log %v", xid, r.State, machine.State())
	case r.told != 1:
		w.fault("the end of %s was told %d times", xid, r.told)
	case o.outcome != 0 && o.outcome != r.State:
		w.fault("%s is %v, and its client was told %v", xid, r.State, o.outcome)
	}
	w.ends[r.State]++
	for _, branch := range machine.Spec().Branches {
		id := xid + "/" + branch.ID
		l, state := w.bank.legs[id], w.bank.barrier[id]
		effect := state == tcc.Confirm || l.saga && state == tcc.Try
		if effect != (r.State == tcc.Confirmed) || state == tcc.Try && !l.saga {
			w.fault("%s is %v, its branch %s is at %v", xid, r.State, branch.ID, state)
		}
		if effect && l.amount > 0 {
			sinks[l.account] += l.amount
		}
	}
}
