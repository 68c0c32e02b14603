package tcc

import (
	"errors"
	"fmt"
)

// ErrLog is wrapped by Restore's error for a log that no Machine has written.
var ErrLog = errors.New("inconsistent transaction log")

// Restore makes the Machine that wrote this log. The log may end anywhere
// between two appends; it must start with the first record.
func Restore(spec Spec, limit int, log []Record) (*Machine, error) {
	m := New(spec, limit)
	for _, record := range log {
		if err := m.check(record); err != nil {
			return nil, err
		}
		m.apply(record)
	}
	return m, nil
}

// check refuses records that would contradict what is there.
func (m *Machine) check(record Record) error {
	fault := func(why string) error { return fmt.Errorf("%w: record %v: %s", ErrLog, record, why) }
	switch {
	case record.Sequence != m.sequence+1:
		return fault(fmt.Sprintf("follows record %d", m.sequence))
	case record.Phase < Try || record.Phase > Cancel || record.Status < StatusStarted || record.Status > StatusForced:
		return fault("unknown phase or status")
	case m.state.Ended():
		return fault("the transaction has ended")
	}
	if why := m.misplaced(record); why != "" {
		return fault(why)
	}
	return nil
}

// misplaced is why a record cannot be the next one; else empty.
func (m *Machine) misplaced(record Record) string {
	if record.Status == StatusRegistered {
		if m.spec.Mode != Initiator || m.phase != Try || record.Phase != Try ||
			record.Branch != len(m.branches) || record.Registered == nil || m.sequence == 0 {
			return "no branch can be registered by it"
		}
		return ""
	}
	if record.Status == StatusForced {
		if !m.has(record.Branch) || m.phase == Try || record.Phase == Try {
			return "nothing can be forced by it"
		}
		return ""
	}
	whole := record.Branch == Whole && m.spec.Mode == Initiator && record.Status == StatusStarted && len(m.branches) == 0
	switch {
	case !whole && !m.has(record.Branch):
		return "no such branch"
	case m.spec.Mode == Saga && record.Phase == Confirm:
		return "a saga has no Confirm"
	case m.phase != Try && record.Phase != m.phase:
		return fmt.Sprintf("decided for %v", m.phase)
	case record.Status == StatusStarted && record.Phase == Confirm && m.spec.Mode != Initiator && !m.allTried():
		return "not every branch is tried"
	case record.Status != StatusStarted && record.Phase != m.phase:
		return "the phase has not started"
	}
	return ""
}

func (m *Machine) has(branch int) bool { return branch >= 0 && branch < len(m.branches) }

// allTried reports whether every Try has succeeded.
func (m *Machine) allTried() bool {
	for _, branch := range m.branches {
		if branch.State == BranchIdle || branch.State == BranchTrying || branch.State == BranchRefused {
			return false
		}
	}
	return true
}

// A branch's state while a phase is called, and after it has succeeded.
var (
	underWay = [...]BranchState{Try: BranchTrying, Confirm: BranchConfirming, Cancel: BranchCancelling}
	done     = [...]BranchState{Try: BranchTried, Confirm: BranchConfirmed, Cancel: BranchCancelled}
)

// apply is the only place where a transaction changes.
func (m *Machine) apply(record Record) {
	m.sequence = record.Sequence
	if record.Branch == Whole {
		m.phase, m.problem = record.Phase, record.Problem
		m.state = m.derive()
		return
	}
	if record.Status == StatusRegistered {
		m.spec.Branches = append(m.spec.Branches, *record.Registered)
		m.branches = append(m.branches, Progress{State: BranchTrying})
	}
	branch := &m.branches[record.Branch]
	branch.Attempts = record.Attempt
	switch record.Status {
	case StatusStarted:
		m.phase = record.Phase
		branch.State = underWay[record.Phase]
		if record.Problem != "" {
			m.problem = record.Problem
		}
		if record.Phase == Confirm {
			branch.LastError = "" // what a Try met on its way; a Cancel's reason stays
		}
	case StatusSucceeded:
		branch.State = done[record.Phase]
	case StatusRefused:
		branch.State, branch.LastError = BranchRefused, record.Problem
	case StatusFailed:
		branch.LastError = record.Problem
	case StatusExhausted:
		branch.exhausted, branch.LastError = true, record.Problem
	case StatusResumed:
		branch.exhausted = false
	case StatusRegistered:
	case StatusForced:
		branch.State, branch.LastError = done[record.Phase], record.Problem
		branch.Forced, branch.exhausted = true, false
		if record.Phase != m.phase && m.problem == "" {
			m.problem = m.spec.Branches[record.Branch].ID + ": " + record.Problem
		}
	}
	m.state = m.derive()
}

// derive is the transaction's state from its phase and its branches.
func (m *Machine) derive() State {
	open, stuck := 0, 0
	for i, branch := range m.branches {
		switch {
		case branch.exhausted:
			stuck++
		case m.inFlight(i), branch.State == BranchTried && m.phase != Try, branch.State == BranchRefused && m.phase != Try:
			open++
		case branch.State == BranchIdle && m.phase == Try:
			open++
		}
	}
	switch m.phase {
	case Confirm:
		return m.settled(open, stuck, Confirming, Confirmed)
	case Cancel:
		if m.spec.Mode == Saga && stuck > 0 {
			return Parked // compensations go in order, so none is under way
		}
		return m.settled(open, stuck, Cancelling, Cancelled)
	default:
		if m.spec.Mode == Saga && open == 0 && m.allTried() {
			return Confirmed
		}
		return Trying
	}
}

// settled is the state after the decision: that of the decision, unless
// operators have forced every branch to the other end.
func (m *Machine) settled(open, stuck int, active, ended State) State {
	switch {
	case open > 0:
		return active
	case stuck > 0:
		return Parked
	case m.all(BranchConfirmed):
		return Confirmed
	case m.all(BranchCancelled):
		return Cancelled
	default:
		return ended
	}
}

// all reports whether there are branches and each is in a state.
func (m *Machine) all(state BranchState) bool {
	for _, branch := range m.branches {
		if branch.State != state {
			return false
		}
	}
	return len(m.branches) > 0
}
