// Package rollout decides about a version of a ruleset on its way into force:
// which facts it answers, and whether it stays within its bands.
//
//	rollout.go  Plan, what is asked for
//	key.go      the field by which a canary chooses facts
//	tracker.go  Tracker, what was seen of both versions, in sliding windows
//	tally.go    the counters of one version
//	band.go     limits
//
// Both versions judge every fact while a rollout runs, so that they are
// compared on the same ones; the stage says whose verdict is the answer. The
// package holds no goroutine and no clock. A Tracker and a Key are safe for
// concurrent use; observing neither locks nor allocates.
package rollout

import "time"

// Stage is how far a version is released.
type Stage uint8

// The stages.
const (
	None Stage = iota
	Shadow
	Canary
	Full
)

// String is the stage's name.
func (s Stage) String() string { return [...]string{"none", "shadow", "canary", "full"}[s] }

// Plan is a step of a rollout.
type Plan struct {
	Stage Stage
	// PPM is the share of a canary's facts in parts per million, by the hash
	// of the field By.
	PPM uint32
	By  string
	// Labels choose facts beside those: their request or replica has all of
	// them. Empty: none.
	Labels map[string]string
	Bands  Bands
	// Began tells one step of a version from another.
	Began time.Time
}

// Matches tells whether the labels of a request or, where it has none of a
// name, those of the replica are all that a plan asks for.
func (p *Plan) Matches(request, replica map[string]string) bool {
	if len(p.Labels) == 0 {
		return false
	}
	for name, value := range p.Labels {
		found, given := request[name]
		if !given {
			found = replica[name]
		}
		if found != value {
			return false
		}
	}
	return true
}
