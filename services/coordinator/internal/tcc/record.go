package tcc

import "fmt"

// Status is what a record says of a branch in a phase. The numbers are stored.
type Status int

// The statuses.
const (
	// StatusStarted: the phase is about to be called for the first time. The
	// first Confirm or Cancel that starts is the decision.
	StatusStarted Status = 1
	// StatusSucceeded: the participant has done it.
	StatusSucceeded Status = 2
	// StatusRefused: the participant said no to Try.
	StatusRefused Status = 3
	// StatusFailed: a call ended without an answer; the next one is due.
	StatusFailed Status = 4
	// StatusExhausted: the last allowed call failed; none is due.
	StatusExhausted Status = 5
	// StatusResumed: an operator has asked for the phase again.
	StatusResumed Status = 6
	// StatusRegistered: the initiator has named the branch and may call Try.
	StatusRegistered Status = 7
	// StatusForced: an operator took the branch for confirmed or cancelled, as
	// the phase says, without a call.
	StatusForced Status = 8
)

// Whole is the Branch of a record that is of the transaction as a whole.
const Whole = -1

var statusNames = []string{
	1: "started", 2: "succeeded", 3: "refused", 4: "failed", 5: "exhausted", 6: "resumed",
	7: "registered", 8: "forced",
}

func (s Status) String() string { return name(statusNames, int(s)) }

// Record is one entry of a transaction's log.
type Record struct {
	Sequence int // from 1, without gaps
	Branch   int // index into Spec.Branches, or Whole
	Phase    Phase
	Status   Status
	Attempt  int    // calls made in the phase when the record was written, the one about to be made included
	Problem  string // why, for Refused, Failed, Exhausted, Forced and the Started of a decision to cancel

	// Registered is the branch that StatusRegistered adds; else nil. It is not
	// to be changed.
	Registered *Branch
}

// String is the record as transcripts show it.
func (r Record) String() string {
	text := fmt.Sprintf("%d branch=%d %v %v attempt=%d", r.Sequence, r.Branch, r.Phase, r.Status, r.Attempt)
	if r.Problem != "" {
		text += fmt.Sprintf(" (%s)", r.Problem)
	}
	return text
}
