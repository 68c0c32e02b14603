package tcc

import "slices"

// Machine is one transaction. Make one with New or Restore.
type Machine struct {
	spec     Spec
	limit    int
	phase    Phase
	state    State
	branches []Progress
	problem  string
	sequence int      // of the last record applied
	held     []Record // applied, not yet given out
}

// Progress is where one branch stands.
type Progress struct {
	State     BranchState
	Attempts  int    // calls made in the phase that it is in, the one in flight included
	LastError string // of the latest call that did not succeed; those of Try are kept only for Cancel
	Forced    bool   // an operator took it for State
	exhausted bool
}

// Call asks the caller to call one participant. Attempt counts from 1 within
// the phase; the caller waits before those above 1.
type Call struct {
	Branch  int
	Phase   Phase
	Attempt int
}

// Result is how a call ended.
type Result struct {
	Call
	Outcome Outcome
	Problem string // why it did not succeed
}

// Output is what an event leads to. Records must be durable before any call
// is made. Both may be empty.
type Output struct {
	Records []Record
	Calls   []Call
}

// New makes a transaction that has not begun. The spec must be valid and is
// not to be changed afterwards. limit is the number of calls of a Confirm or a
// Cancel after which a branch waits for an operator, where the spec gives
// none; it is at least 1.
func New(spec Spec, limit int) *Machine {
	spec.Branches = slices.Clip(spec.Branches) // registered branches are added to a copy
	return &Machine{
		spec: spec, limit: max(limit, 1), phase: Try, state: Trying,
		branches: make([]Progress, len(spec.Branches)),
	}
}

// Spec is what the transaction consists of, with the branches registered so
// far.
func (m *Machine) Spec() Spec { return m.spec }

// State is where the transaction stands.
func (m *Machine) State() State { return m.state }

// Phase is the phase that the transaction is in. That of a parked transaction
// tells its decision.
func (m *Machine) Phase() Phase { return m.phase }

// Problem is why the transaction was cancelled or parked; else empty.
func (m *Machine) Problem() string {
	if m.state != Parked {
		return m.problem
	}
	for i, branch := range m.branches {
		if branch.exhausted {
			return m.spec.Branches[i].ID + ": " + branch.LastError
		}
	}
	return m.problem
}

// Branches copies where each branch stands.
func (m *Machine) Branches() []Progress { return append([]Progress(nil), m.branches...) }

// Begin starts a new transaction.
func (m *Machine) Begin() Output {
	if m.sequence > 0 {
		return Output{}
	}
	switch m.spec.Mode {
	case Saga:
		return m.give(m.start(0, Try, ""))
	case Initiator:
		m.start(Whole, Try, "")
		return m.give()
	case TCC:
	}
	calls := make([]Call, 0, len(m.branches))
	for i := range m.branches {
		calls = append(calls, m.start(i, Try, ""))
	}
	return m.give(calls...)
}

// Resume gives the calls that are due after Restore. It logs nothing: the
// phases are in the log already.
func (m *Machine) Resume() Output {
	var calls []Call
	for i := range m.branches {
		if m.inFlight(i) {
			calls = append(calls, Call{Branch: i, Phase: m.phase, Attempt: m.branches[i].Attempts})
		}
	}
	return Output{Calls: calls}
}

// Expire ends the time of the Try phase. After the decision it does nothing.
func (m *Machine) Expire() Output {
	if m.state != Trying || m.sequence == 0 {
		return Output{}
	}
	if m.spec.Mode == Initiator {
		return m.cancel("not confirmed in time")
	}
	return m.cancel("try phase timed out")
}

// Retry calls the due phase of a parked transaction again, with a new count of
// attempts. In any other state it does nothing.
func (m *Machine) Retry() Output {
	if m.state != Parked {
		return Output{}
	}
	var calls []Call
	for i := range m.branches {
		if m.branches[i].exhausted {
			m.log(Record{Branch: i, Phase: m.phase, Status: StatusResumed, Attempt: 1})
			calls = append(calls, Call{Branch: i, Phase: m.phase, Attempt: 1})
		}
	}
	return m.give(calls...)
}

// inFlight reports whether a call of branch i is due or under way.
func (m *Machine) inFlight(i int) bool {
	if m.spec.Mode == Initiator && m.phase == Try {
		return false // the initiator calls it
	}
	progress := m.branches[i]
	switch progress.State {
	case BranchTrying, BranchConfirming, BranchCancelling:
		return !progress.exhausted
	default:
		return false
	}
}

// start logs that a phase begins for a branch, or for Whole.
func (m *Machine) start(branch int, phase Phase, why string) Call {
	m.log(Record{Branch: branch, Phase: phase, Status: StatusStarted, Attempt: 1, Problem: why})
	return Call{Branch: branch, Phase: phase, Attempt: 1}
}

// log applies a record and keeps it for the next give.
func (m *Machine) log(record Record) {
	record.Sequence = m.sequence + 1
	m.apply(record)
	m.held = append(m.held, record)
}

// give hands out every record kept so far with the calls.
func (m *Machine) give(calls ...Call) Output {
	out := Output{Records: m.held, Calls: calls}
	m.held = nil
	return out
}
