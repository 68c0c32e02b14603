package tcc

import "cmp"

// Step takes the result of a call. Results that are repeated, late or of
// another phase change nothing.
//
// A success that leads to no call and no end is kept back and given out with
// the next records: losing it costs one repeated call, writing it at once
// would cost a write for every branch.
func (m *Machine) Step(result Result) Output {
	if !m.expected(result.Call) {
		return Output{}
	}
	if result.Phase == Try {
		return m.tried(result)
	}
	return m.finished(result)
}

// expected reports whether the call is the one that its branch waits for.
func (m *Machine) expected(call Call) bool {
	if call.Branch < 0 || call.Branch >= len(m.branches) || call.Phase != m.phase {
		return false
	}
	return m.inFlight(call.Branch) && m.branches[call.Branch].Attempts == call.Attempt
}

func (m *Machine) tried(result Result) Output {
	switch result.Outcome {
	case Succeeded:
		m.log(Record{Branch: result.Branch, Phase: Try, Status: StatusSucceeded, Attempt: result.Attempt})
		return m.advance()
	case Refused:
		m.log(Record{
			Branch: result.Branch, Phase: Try, Status: StatusRefused,
			Attempt: result.Attempt, Problem: result.Problem,
		})
		return m.cancel(m.spec.Branches[result.Branch].ID + ": " + result.Problem)
	default:
		return m.again(result) // until the time of the phase is over
	}
}

// advance goes on after a Try that succeeded.
func (m *Machine) advance() Output {
	next := -1
	for i := range m.branches {
		if m.branches[i].State != BranchTried {
			next = i
			break
		}
	}
	switch {
	case m.spec.Mode == Saga && next < 0:
		return m.give() // the last action is the decision and the end
	case m.spec.Mode == Saga:
		return m.give(m.start(next, Try, ""))
	case next >= 0:
		return Output{}
	}
	return m.decide(Confirm, "")
}

// decide starts a phase for every branch.
func (m *Machine) decide(phase Phase, why string) Output {
	if len(m.branches) == 0 { // an initiator may have none
		m.start(Whole, phase, why)
		return m.give()
	}
	calls := make([]Call, 0, len(m.branches))
	for i := range m.branches {
		calls = append(calls, m.start(i, phase, why))
	}
	return m.give(calls...)
}

// cancel decides for Cancel. Every branch whose Try was ever called is
// cancelled, the one that refused too: an earlier call of it may still be on
// its way.
func (m *Machine) cancel(why string) Output {
	if m.spec.Mode == Saga {
		return m.compensate(why)
	}
	return m.decide(Cancel, why)
}

// compensate cancels a saga's latest action that is still to be cancelled.
func (m *Machine) compensate(why string) Output {
	for i := len(m.branches) - 1; i >= 0; i-- {
		if state := m.branches[i].State; state != BranchIdle && state != BranchCancelled && state != BranchConfirmed {
			return m.give(m.start(i, Cancel, why))
		}
	}
	return m.give()
}

// finished takes the result of a Confirm or a Cancel.
func (m *Machine) finished(result Result) Output {
	if result.Outcome != Succeeded {
		return m.again(result)
	}
	m.log(Record{Branch: result.Branch, Phase: m.phase, Status: StatusSucceeded, Attempt: result.Attempt})
	switch {
	case m.spec.Mode == Saga && !m.state.Ended():
		return m.compensate("")
	case m.state.Ended() || m.state == Parked:
		return m.give()
	default:
		return Output{}
	}
}

// attempts is how many calls of a Confirm or Cancel a branch gets.
func (m *Machine) attempts(branch int) int {
	return cmp.Or(m.spec.Branches[branch].Policy.Attempts, m.spec.Policy.Attempts, m.limit)
}

// again repeats a call without an answer, or gives up for now.
func (m *Machine) again(result Result) Output {
	record := Record{
		Branch: result.Branch, Phase: m.phase, Status: StatusFailed,
		Attempt: result.Attempt + 1, Problem: result.Problem,
	}
	if m.phase != Try && result.Attempt >= m.attempts(result.Branch) {
		record.Status, record.Attempt = StatusExhausted, result.Attempt
		m.log(record)
		return m.give()
	}
	m.log(record)
	return m.give(Call{Branch: result.Branch, Phase: m.phase, Attempt: record.Attempt})
}
