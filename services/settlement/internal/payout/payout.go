// Package payout is how earnings are paid out in batches: what a batch is made
// of and which steps it may take.
//
//	payout.go  Batch, Payout, their states and steps
//	plan.go    Plan: what may be paid out now
//	export.go  a batch as a file for a bank
//
// A batch is a draft until a person approves it; then the money of each payout
// is held by a pending transfer, given to the provider when a person submits
// the batch, and posted or voided as the provider says. The package does no
// I/O.
package payout

import (
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// ErrState means a step that the state does not allow.
var ErrState = errors.New("not allowed in this state")

// BatchState is where a batch stands. The numbers are stored and the
// contract's.
type BatchState int

// The states. Ended and Cancelled are final.
const (
	Draft          BatchState = 1
	Approved       BatchState = 2
	BatchSubmitted BatchState = 3
	Ended          BatchState = 4
	BatchCancelled BatchState = 5
)

func (s BatchState) String() string {
	names := []string{"", "draft", "approved", "submitted", "ended", "cancelled"}
	if s < Draft || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// Step is what a person does with a batch.
type Step string

// The steps.
const (
	Approve Step = "approve"
	Submit  Step = "submit"
	Cancel  Step = "cancel"
)

// steps are the states that a step leads from and to.
var steps = map[Step]struct {
	from []BatchState
	to   BatchState
}{
	Approve: {[]BatchState{Draft}, Approved},
	Submit:  {[]BatchState{Approved}, BatchSubmitted},
	Cancel:  {[]BatchState{Draft, Approved}, BatchCancelled},
}

// Next is the state that a step leads to. A step that was done already changes
// nothing: moved is false. It returns ErrState where the step is not allowed.
func (s BatchState) Next(step Step) (next BatchState, moved bool, err error) {
	if s == steps[step].to || step == Approve && s == BatchSubmitted || step != Cancel && s == Ended {
		return s, false, nil
	}
	for _, from := range steps[step].from {
		if s == from {
			return steps[step].to, true, nil
		}
	}
	return s, false, fmt.Errorf("%w: %s a batch that is %v", ErrState, step, s)
}

// State is where a payout stands. The numbers are stored and the contract's.
type State int

// The states. Settled, Failed and Cancelled are final.
const (
	Planned   State = 1
	Held      State = 2 // by a pending transfer
	Submitted State = 3 // the provider has it
	Settled   State = 4 // paid; the transfer is posted
	Failed    State = 5 // not paid; the transfer is voided
	Cancelled State = 6
)

func (s State) String() string {
	names := []string{"", "planned", "held", "submitted", "settled", "failed", "cancelled"}
	if s < Planned || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// Final tells whether nothing more happens to a payout.
func (s State) Final() bool { return s >= Settled }

// Task is what is to be done for a payout next.
type Task int

// The tasks.
const (
	Nothing Task = iota
	Hold         // pend its transfer
	Send         // give it to the provider
	Ask          // ask the provider what came of it
	Release      // void its transfer, if there is one
)

// Task tells what a payout of a batch needs that no person has to do.
func (s State) Task(batch BatchState) Task {
	switch {
	case s.Final() || batch == Draft || batch == Ended:
		return Nothing
	case batch == BatchCancelled:
		return Release
	case s == Planned:
		return Hold
	case batch == Approved:
		return Nothing
	case s == Held:
		return Send
	default: // Submitted
		return Ask
	}
}

// Batch is payouts in one currency.
type Batch struct {
	ID, TenantID         string
	Currency             string
	State                BatchState
	Minimum              money.Amount // least that is paid out at once
	IdempotencyKey       string
	CreatedAt, UpdatedAt time.Time
}

// Payout is one person's part of a batch.
type Payout struct {
	ID, TenantID, BatchID string
	OwnerID               string
	Amount                money.Amount
	State                 State
	Problem               string // why it failed
	TransferID            string // that holds or paid it
	UpdatedAt             time.Time
}
