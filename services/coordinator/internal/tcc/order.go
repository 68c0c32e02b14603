package tcc

import (
	"errors"
	"fmt"
)

var (
	// ErrDecided means that an order comes after another decision, or after
	// the end.
	ErrDecided = errors.New("transaction is decided otherwise")
	// ErrUndecided means that an order needs a decision first.
	ErrUndecided = errors.New("transaction is not decided; cancel it first")
	// ErrMode means an order for transactions of another mode.
	ErrMode = errors.New("transaction was not opened by an initiator")
	// ErrBranch means that a branch's id is taken by other content.
	ErrBranch = errors.New("another branch has this id")
	// ErrNoBranch means that there is no such branch.
	ErrNoBranch = errors.New("no such branch")
)

// Orders may be repeated: one that changes nothing any more has an empty
// Output and no error.

// Register adds a branch to an initiator's transaction, whose initiator calls
// its Try once the records are durable. It may return ErrMode, ErrDecided,
// ErrBranch or a FieldError.
func (m *Machine) Register(branch Branch) (Output, error) {
	if m.spec.Mode != Initiator {
		return Output{}, ErrMode
	}
	for _, known := range m.spec.Branches {
		if known.ID != branch.ID {
			continue
		}
		if string(known.digest()) != string(branch.digest()) {
			return Output{}, fmt.Errorf("branch %s: %w", branch.ID, ErrBranch)
		}
		return Output{}, nil
	}
	if err := errors.Join(branch.validate("branch", Initiator)...); err != nil {
		return Output{}, err
	}
	if m.state != Trying {
		return Output{}, fmt.Errorf("register branch %s: %w: it is %v", branch.ID, ErrDecided, m.state)
	}
	if len(m.branches) >= MaxBranches {
		return Output{}, &FieldError{Field: "branch", Problem: fmt.Sprintf("there are %d branches, which is the limit", MaxBranches)}
	}
	m.log(Record{Branch: len(m.branches), Phase: Try, Status: StatusRegistered, Attempt: 1, Registered: &branch})
	return m.give(), nil
}

// Confirm decides an initiator's transaction. It may return ErrMode or
// ErrDecided.
func (m *Machine) Confirm() (Output, error) {
	switch {
	case m.spec.Mode != Initiator:
		return Output{}, ErrMode
	case m.phase == Confirm:
		return Output{}, nil
	case m.state != Trying:
		return Output{}, fmt.Errorf("confirm: %w: it is %v", ErrDecided, m.state)
	}
	return m.decide(Confirm, ""), nil
}

// Cancel decides for Cancel while the Try phase lasts, in any mode. It may
// return ErrDecided.
func (m *Machine) Cancel(why string) (Output, error) {
	switch {
	case m.phase == Cancel:
		return Output{}, nil
	case m.state != Trying || m.sequence == 0:
		return Output{}, fmt.Errorf("cancel: %w: it is %v", ErrDecided, m.state)
	}
	return m.cancel(why), nil
}

// Force takes a branch, or those of Whole that have not ended, for confirmed
// or cancelled as phase says, without a call. An undecided transaction can be
// forced as a whole to Cancel: then it is decided, and its branches are
// called. It may return ErrUndecided, ErrDecided or ErrNoBranch.
func (m *Machine) Force(phase Phase, branch int, why string) (Output, error) {
	if m.state == Trying {
		if branch == Whole && phase == Cancel {
			return m.Cancel(why)
		}
		return Output{}, fmt.Errorf("force: %w", ErrUndecided)
	}
	first, last := branch, branch
	if branch == Whole {
		first, last = 0, len(m.branches)-1
	} else if !m.has(branch) {
		return Output{}, fmt.Errorf("force: %w", ErrNoBranch)
	}
	forced := 0
	for i := first; i <= last; i++ {
		switch state := m.branches[i].State; {
		case state == done[phase]:
		case state == BranchConfirmed, state == BranchCancelled, state == BranchIdle, m.state.Ended():
			if branch != Whole {
				return Output{}, fmt.Errorf("force branch %s: %w: it is %v", m.spec.Branches[i].ID, ErrDecided, state)
			}
		default:
			m.log(Record{Branch: i, Phase: phase, Status: StatusForced, Attempt: m.branches[i].Attempts, Problem: why})
			forced++
		}
	}
	switch {
	case forced == 0:
		return Output{}, nil
	case m.spec.Mode == Saga && !m.state.Ended() && m.state != Parked && !m.calling():
		return m.compensate(""), nil
	}
	return m.give(), nil
}

// calling reports whether a call of any branch is due or under way.
func (m *Machine) calling() bool {
	for i := range m.branches {
		if m.inFlight(i) {
			return true
		}
	}
	return false
}
