package tcc

import "fmt"

// Mode is the protocol of a transaction. The numbers are stored.
type Mode int

// The modes.
const (
	TCC Mode = 1
	// Saga calls the branches' Try one after the other, each an action with
	// effect, and on a refusal Cancel in reverse order. It has no Confirm.
	Saga Mode = 2
	// Initiator is TCC without calls of Try: the initiator registers branches
	// one by one, calls their Try itself and orders the decision.
	Initiator Mode = 3
)

// State is where a transaction as a whole stands. The numbers are stored.
type State int

// The states. Confirmed and Cancelled are final.
const (
	Trying     State = 1
	Confirming State = 2
	Confirmed  State = 3
	Cancelling State = 4
	Cancelled  State = 5
	Parked     State = 6
)

// Ended reports whether nothing is left to do.
func (s State) Ended() bool { return s == Confirmed || s == Cancelled }

// Decided reports whether the outcome is certain. A parked transaction is
// decided too: parking happens only after the decision.
func (s State) Decided() bool { return s != Trying }

// Phase is what a participant is asked to do. The numbers are stored.
type Phase int

// The phases.
const (
	Try     Phase = 1
	Confirm Phase = 2
	Cancel  Phase = 3
)

// BranchState is where one branch stands. The numbers are those of the API.
type BranchState int

// The branch states.
const (
	BranchIdle       BranchState = 0 // a saga's action whose turn has not come
	BranchTrying     BranchState = 1
	BranchTried      BranchState = 2
	BranchRefused    BranchState = 3
	BranchConfirming BranchState = 4
	BranchConfirmed  BranchState = 5
	BranchCancelling BranchState = 6
	BranchCancelled  BranchState = 7
)

// Outcome is how a phase call ended.
type Outcome int

// The outcomes.
const (
	Succeeded Outcome = 1
	// Refused is a definite no. It decides a Try; for Confirm and Cancel it
	// counts as Failed.
	Refused Outcome = 2
	// Failed means that the call may or may not have had its effect.
	Failed Outcome = 3
)

var (
	modeNames    = []string{1: "tcc", 2: "saga", 3: "initiator"}
	stateNames   = []string{1: "trying", 2: "confirming", 3: "confirmed", 4: "cancelling", 5: "cancelled", 6: "parked"}
	phaseNames   = []string{1: "try", 2: "confirm", 3: "cancel"}
	branchNames  = []string{"idle", "trying", "tried", "refused", "confirming", "confirmed", "cancelling", "cancelled"}
	outcomeNames = []string{1: "succeeded", 2: "refused", 3: "failed"}
)

func (m Mode) String() string        { return name(modeNames, int(m)) }
func (s State) String() string       { return name(stateNames, int(s)) }
func (p Phase) String() string       { return name(phaseNames, int(p)) }
func (s BranchState) String() string { return name(branchNames, int(s)) }
func (o Outcome) String() string     { return name(outcomeNames, int(o)) }

func name(names []string, i int) string {
	if i < 0 || i >= len(names) || names[i] == "" {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return names[i]
}
