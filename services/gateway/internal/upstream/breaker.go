package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	// breakerSlots divide the window that is looked back.
	breakerSlots = 10
	// longestOpen is how long a breaker stays open at most before it probes.
	longestOpen = time.Minute
)

// The states of a breaker.
const (
	closed int32 = iota
	opened
	halfOpen
)

// errorBreaker refuses requests to a cluster that mostly fails. Open, it
// refuses all; then, half open, it lets a few through and by what becomes of
// them closes or opens for twice as long. kit/breaker takes a lock for each
// call and has one probe; here closed costs one load, and an answer one add.
// Counts of a slot that is taken into use while others count may lose a few.
type errorBreaker struct {
	policy edge.ErrorBreaker
	state  atomic.Int32
	until  atomic.Int64 // Unix nanoseconds; when an open one probes
	slots  [breakerSlots]breakerSlot
	opens  atomic.Uint64

	mu      sync.Mutex // of changes of state, and below
	openFor time.Duration
	since   time.Time // half open
	asked   time.Time // when the last probe was let through
	granted int       // probes let through and not heard of
	good    int       // probes that succeeded
}

// breakerSlot counts a tenth of the window.
type breakerSlot struct {
	number          atomic.Int64 // of its time; another number's counts are void
	calls, failures atomic.Int64
}

// newErrorBreaker makes a closed one. The policy's fields are filled in.
func newErrorBreaker(policy edge.ErrorBreaker) *errorBreaker {
	return &errorBreaker{policy: policy, openFor: min(policy.OpenFor, longestOpen)}
}

// has tells whether it is one of this policy.
func (b *errorBreaker) has(p *edge.ErrorBreaker) bool {
	return b.policy.Share == p.Share && b.policy.Window == p.Window && b.policy.Minimum == p.Minimum &&
		b.policy.OpenFor == p.OpenFor && b.policy.Probes == p.Probes && slices.Equal(b.policy.Statuses, p.Statuses)
}

// admit lets a request through, or tells how long to wait.
func (b *errorBreaker) admit(now time.Time) (wait time.Duration, admitted bool) {
	if b.state.Load() == closed {
		return 0, true
	}
	if left := b.until.Load() - now.UnixNano(); left > 0 && b.state.Load() == opened {
		return time.Duration(left), false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state.Load() {
	case closed:
		return 0, true
	case opened:
		if left := b.until.Load() - now.UnixNano(); left > 0 {
			return time.Duration(left), false
		}
		b.since, b.granted, b.good = now, 0, 0
		b.state.Store(halfOpen)
	}
	// Probes of which nothing was heard for as long as it had been open are
	// lost: their requests found no endpoint, or take too long to wait for.
	if b.granted+b.good >= b.policy.Probes && now.Sub(b.asked) >= b.openFor {
		b.granted = 0
	}
	if b.granted+b.good >= b.policy.Probes {
		return time.Second, false
	}
	b.granted++
	b.asked = now
	return 0, true
}

// record takes what became of a try.
func (b *errorBreaker) record(o Outcome, now time.Time) {
	switch b.state.Load() {
	case closed:
		if o.Result == Aborted || o.Result == Refused {
			return
		}
		failed := b.fails(o)
		calls, failures := b.count(now, failed)
		if failed && calls >= int64(b.policy.Minimum) && float64(failures) >= b.policy.Share*float64(calls) {
			b.open(now, closed)
		}
	case halfOpen:
		b.probed(o, now)
	}
}

// probed takes the outcome of a probe; tries that began before are none.
func (b *errorBreaker) probed(o Outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() != halfOpen || now.Add(-o.Took).Before(b.since) {
		return
	}
	b.granted = max(b.granted-1, 0)
	switch {
	case o.Result == Aborted || o.Result == Refused:
	case b.fails(o):
		b.openFor = min(2*b.openFor, longestOpen)
		b.openLocked(now)
	default:
		if b.good++; b.good >= b.policy.Probes {
			b.openFor = min(b.policy.OpenFor, longestOpen)
			for i := range b.slots {
				b.slots[i].number.Store(-1)
			}
			b.state.Store(closed)
		}
	}
}

func (b *errorBreaker) open(now time.Time, from int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() == from {
		b.openLocked(now)
	}
}

func (b *errorBreaker) openLocked(now time.Time) {
	b.until.Store(now.Add(b.openFor).UnixNano())
	b.state.Store(opened)
	b.opens.Add(1)
}

func (b *errorBreaker) fails(o Outcome) bool {
	if o.Result != Answered || len(b.policy.Statuses) == 0 {
		return o.failed()
	}
	return slices.Contains(b.policy.Statuses, o.Status)
}

// count adds a result; of a failure it returns the sums over the window.
func (b *errorBreaker) count(now time.Time, failed bool) (calls, failures int64) {
	number := now.UnixNano() / max(int64(b.policy.Window)/breakerSlots, 1)
	at := &b.slots[number%breakerSlots]
	switch before := at.number.Load(); {
	case before > number: // who reports has looked at the clock long ago
		return 0, 0
	case before < number && at.number.CompareAndSwap(before, number):
		at.calls.Store(0)
		at.failures.Store(0)
	}
	at.calls.Add(1)
	if !failed {
		return 0, 0
	}
	at.failures.Add(1)
	for i := range b.slots {
		if age := number - b.slots[i].number.Load(); age >= 0 && age < breakerSlots {
			calls += b.slots[i].calls.Load()
			failures += b.slots[i].failures.Load()
		}
	}
	return calls, failures
}
