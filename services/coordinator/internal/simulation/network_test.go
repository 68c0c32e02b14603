package simulation

import (
	"context"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// network is how a process reaches participants. A call is a message there
// and one back, each of which may be lost, late or repeated; so what arrives
// has any order, and may arrive long after its sender has given up or died.
type network struct {
	world *world
	link  *link // nil for an initiator
}

type reply struct {
	outcome tcc.Outcome
	problem string
}

// Call implements runner.Participants.
func (n network) Call(ctx context.Context, key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	w := n.world
	if n.link != nil && n.link.isDead() {
		return tcc.Failed, "dead"
	}
	name := key.XID + "/" + branch.ID + " " + phase.String()
	if !w.memory.started(key, branch.ID, phase) {
		w.fault("%s is called and not in the log", name)
	}
	dice := w.dice("call " + name)
	there, back, notice := dice.between(0.1, 20), dice.between(0.1, 20), dice.between(0, 0.1)
	fault := w.faulty()
	lost, unanswered := fault && dice.chance(w.profile.lose), fault && dice.chance(w.profile.lose)
	if fault && dice.chance(w.profile.late) {
		there = dice.between(200, 5000)
	}
	if fault && dice.chance(w.profile.repeat) {
		time.AfterFunc(dice.between(0.1, 6000), func() { w.bank.serve(w.dice("again "+name), key, branch, phase) })
	}
	answer := make(chan reply, 1)
	if !lost {
		time.AfterFunc(there, func() {
			served := w.bank.serve(w.dice("serve "+name), key, branch, phase)
			if !unanswered {
				time.AfterFunc(back, func() { answer <- served })
			}
		})
	}
	select {
	case got := <-answer:
		return got.outcome, got.problem
	case <-ctx.Done():
		pass(context.Background(), notice) // not all at once where several calls time out together
		return tcc.Failed, "no answer"
	}
}
