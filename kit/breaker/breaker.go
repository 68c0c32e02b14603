// Package breaker stops work that mostly fails, for a while. A Breaker holds
// no clock and starts nothing: callers say when.
package breaker

import (
	"sync"
	"time"
)

const (
	// slots divide the breaker's window.
	slots           = 10
	partsPerMillion = 1_000_000
)

// Policy says when a Breaker opens, and for how long. All fields are above
// zero.
type Policy struct {
	FailurePPM uint64        // of the calls in the window, in parts per million
	MinCalls   uint64        // in the window, below which it stays closed
	Window     time.Duration // that is looked back
	Open       time.Duration // before a probe
}

// Breaker refuses calls to a service that mostly fails. It counts in slots of
// a tenth of the window. Open, it refuses all; after the open time one call
// probes, and its outcome closes or opens the breaker again. The zero value is
// closed. It is safe for concurrent use.
type Breaker struct {
	mu        sync.Mutex
	slots     [slots]slot
	openUntil time.Time // zero: closed
	probing   bool
}

type slot struct {
	number          int64 // of its time span; another number's counts are void
	calls, failures uint64
}

// Outcome is what became of a call.
type Outcome int

// The outcomes.
const (
	Succeeded Outcome = iota
	Failed
	Undecided // the caller gave up, or the call was not sent
)

// Allow reports whether a call may be sent. One that may must be reported to
// Done, with probe as given.
func (b *Breaker) Allow(now time.Time) (probe, allowed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.openUntil.IsZero():
		return false, true
	case now.Before(b.openUntil) || b.probing:
		return false, false
	}
	b.probing = true
	return true, true
}

// Done takes the outcome of an allowed call and reports whether the breaker is
// open after it.
func (b *Breaker) Done(now time.Time, probe bool, result Outcome, p Policy) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
		switch result {
		case Succeeded:
			b.openUntil = time.Time{}
			b.slots = [slots]slot{}
		case Failed:
			b.openUntil = now.Add(p.Open)
		case Undecided: // the next call probes
		}
		return !b.openUntil.IsZero()
	}
	if !b.openUntil.IsZero() || result == Undecided {
		return !b.openUntil.IsZero()
	}
	calls, failures := b.count(now, p.Window, result)
	if calls >= p.MinCalls && failures*partsPerMillion >= p.FailurePPM*calls && failures > 0 {
		b.openUntil = now.Add(p.Open)
	}
	return !b.openUntil.IsZero()
}

// count adds a result and returns the sums over the window.
func (b *Breaker) count(now time.Time, window time.Duration, result Outcome) (calls, failures uint64) {
	number := now.UnixNano() / max(int64(window)/slots, 1)
	at := &b.slots[number%slots]
	if at.number != number {
		*at = slot{number: number}
	}
	at.calls++
	if result == Failed {
		at.failures++
	}
	for i := range b.slots {
		if age := number - b.slots[i].number; age >= 0 && age < slots {
			calls += b.slots[i].calls
			failures += b.slots[i].failures
		}
	}
	return calls, failures
}

// OpenUntil is when an open breaker lets a call probe; the zero time where it
// is closed.
func (b *Breaker) OpenUntil() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.openUntil
}
