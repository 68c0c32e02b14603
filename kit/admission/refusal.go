package admission

import (
	"fmt"
	"math"
	"time"
)

// Reason is why work was refused.
type Reason string

// The reasons, as they are in metrics.
const (
	TooLate Reason = "deadline" // it would not be done in time
	Overdue Reason = "overdue"  // it waited, and would not be done in time any more
	Full    Reason = "full"     // as much of its shard, or of all, waits as may
	Share   Reason = "share"    // its tenant has its share of places
	Broken  Reason = "breaker"  // what does the work is sick
)

var reasons = []Reason{TooLate, Overdue, Full, Share, Broken}

// Refusal is the error of work that is not let in. Nothing of it was done.
type Refusal struct {
	Reason     Reason
	Wait       time.Duration // what it was expected to take; 0 where that is not why
	RetryAfter time.Duration // when to try again, with jitter
}

func (r *Refusal) Error() string {
	after := r.RetryAfter.Round(time.Millisecond)
	switch r.Reason {
	case TooLate:
		return fmt.Sprintf("too busy to be done in time, try again in %v", after)
	case Overdue:
		return fmt.Sprintf("it waited and would not be done in time any more, try again in %v", after)
	case Full:
		return fmt.Sprintf("too many are waiting, try again in %v", after)
	case Share:
		return fmt.Sprintf("too many of the tenant are waiting, try again in %v", after)
	case Broken:
		return fmt.Sprintf("failures are being waited out, try again in %v", after)
	}
	return string(r.Reason)
}

const (
	minRetry = 10 * time.Millisecond
	maxRetry = 30 * time.Second
)

// pressure counts refused units, the older the less.
type pressure struct {
	units float64
	at    time.Time
}

// memory is how long refusals count: those refused are expected again.
const memory = time.Second

// add notes refused units and returns what counts now.
func (p *pressure) add(now time.Time, units int) float64 {
	p.units = p.units*math.Exp(-max(0, now.Sub(p.at).Seconds())/memory.Seconds()) + float64(units)
	p.at = now
	return p.units
}
