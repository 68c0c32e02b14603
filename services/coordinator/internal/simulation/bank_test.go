package simulation

import (
	"fmt"
	"sync"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// leg is what a branch moves: from a source for a negative amount, else to a
// sink.
type leg struct {
	account string
	amount  int64
	saga    bool // Try is the movement, Cancel takes it back
}

// account holds money. Only sources are reserved from.
type account struct{ balance, held int64 }

// bank is every participant: accounts, and the barrier that kit/tcc is, which
// changes in one transaction with them.
type bank struct {
	world *world

	mu       sync.Mutex
	accounts map[string]*account
	legs     map[string]leg // by xid/branch
	barrier  map[string]tcc.Phase
}

// opening is the balance of each source.
const opening = 1000

func newBank(w *world) *bank {
	return &bank{world: w, barrier: map[string]tcc.Phase{}, legs: map[string]leg{}, accounts: map[string]*account{
		"source-0": {balance: opening}, "source-1": {balance: opening}, "sink-0": {}, "sink-1": {}, "sink-2": {},
	}}
}

func (b *bank) add(xid, branchID string, l leg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.legs[xid+"/"+branchID] = l
}

// serve is one call that arrives. Its own database may fail, before or after
// the commit.
func (b *bank) serve(dice *dice, key runner.Key, branch tcc.Branch, phase tcc.Phase) reply {
	w := b.world
	fault := w.faulty()
	if fault && dice.chance(w.profile.serveFault) {
		return reply{tcc.Failed, "broken before"}
	}
	got := b.act(key.XID+"/"+branch.ID, phase, fault && dice.chance(w.profile.refuse))
	w.note("%s/%s %v: %v %s", key.XID, branch.ID, phase, got.outcome, got.problem)
	if fault && dice.chance(w.profile.serveFault) {
		return reply{tcc.Failed, "broken after"}
	}
	return got
}

// act puts a call through the barrier. What a coordinator must never ask for
// is a fault of the world.
func (b *bank) act(id string, phase tcc.Phase, moody bool) reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	state, l := b.barrier[id], b.legs[id]
	switch {
	case phase == state, phase == tcc.Try && state == tcc.Confirm:
		b.world.meet("repeat")
		return reply{tcc.Succeeded, ""}
	case phase == tcc.Try && state == tcc.Cancel:
		b.world.meet("hanging")
		return reply{tcc.Refused, "cancelled"}
	case phase == tcc.Try:
		if moody || l.amount < 0 && b.accounts[l.account].balance-b.accounts[l.account].held < -l.amount {
			return reply{tcc.Refused, "no"}
		}
		b.move(l, tcc.Try)
	case phase == tcc.Confirm && state != tcc.Try, phase == tcc.Cancel && state == tcc.Confirm:
		b.world.fault("%v of %s after %v", phase, id, state)
		return reply{tcc.Failed, "out of place"}
	case phase == tcc.Cancel && state == 0:
		b.world.meet("empty rollback")
	default:
		b.move(l, phase)
	}
	b.barrier[id] = phase
	return reply{tcc.Succeeded, ""}
}

func (b *bank) move(l leg, phase tcc.Phase) {
	a := b.accounts[l.account]
	switch {
	case l.saga && phase == tcc.Try:
		a.balance += l.amount
	case l.saga && phase == tcc.Cancel:
		a.balance -= l.amount
	case phase == tcc.Try:
		a.held -= min(l.amount, 0)
	case phase == tcc.Confirm:
		a.held += min(l.amount, 0)
		a.balance += l.amount
	case phase == tcc.Cancel:
		a.held += min(l.amount, 0)
	}
	if a.held < 0 || a.balance < 0 {
		b.world.fault("%s has %d, held %d", l.account, a.balance, a.held)
	}
}

// String shows the accounts.
func (b *bank) String() string {
	text := ""
	for _, name := range []string{"source-0", "source-1", "sink-0", "sink-1", "sink-2"} {
		text += fmt.Sprintf("%s %d/%d ", name, b.accounts[name].balance, b.accounts[name].held)
	}
	return text
}
