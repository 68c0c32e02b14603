package rpc

import (
	"sync"
	"time"
)

// breakerSlots divides the breaker's window.
const breakerSlots = 10

// breaker refuses calls to a service that mostly fails. It counts in slots of
// a tenth of the window. Open, it refuses all; after the open time one call
// probes, and its outcome closes or opens the breaker again. The zero value is
// closed.
type breaker struct {
	mu        sync.Mutex
	slots     [breakerSlots]breakerSlot
	openUntil time.Time // zero: closed
	probing   bool
}

type breakerSlot struct {
	number          int64 // of its time span; another number's counts are void
	calls, failures uint64
}

// outcome of a try, for the breaker.
type outcome int

const (
	succeeded outcome = iota
	failed
	undecided // the caller gave up, or the try was not sent
)

// allow reports whether a call may be sent. One that may must be reported to
// done, with probe as given.
func (b *breaker) allow(now time.Time) (probe, allowed bool) {
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

// done takes the outcome of an allowed call and reports whether the breaker is
// open after it.
func (b *breaker) done(now time.Time, probe bool, result outcome, p breakerPolicy) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
		switch result {
		case succeeded:
			b.openUntil = time.Time{}
			b.slots = [breakerSlots]breakerSlot{}
		case failed:
			b.openUntil = now.Add(p.open)
		case undecided: // the next call probes
		}
		return !b.openUntil.IsZero()
	}
	if !b.openUntil.IsZero() || result == undecided {
		return !b.openUntil.IsZero()
	}
	calls, failures := b.count(now, p.window, result)
	if calls >= p.minCalls && failures*partsPerMillion >= p.failurePPM*calls && failures > 0 {
		b.openUntil = now.Add(p.open)
	}
	return !b.openUntil.IsZero()
}

// count adds a result and returns the sums over the window.
func (b *breaker) count(now time.Time, window time.Duration, result outcome) (calls, failures uint64) {
	number := now.UnixNano() / max(int64(window)/breakerSlots, 1)
	slot := &b.slots[number%breakerSlots]
	if slot.number != number {
		*slot = breakerSlot{number: number}
	}
	slot.calls++
	if result == failed {
		slot.failures++
	}
	for i := range b.slots {
		if age := number - b.slots[i].number; age >= 0 && age < breakerSlots {
			calls += b.slots[i].calls
			failures += b.slots[i].failures
		}
	}
	return calls, failures
}
