// Package throttle has callers hold back what a busy service would refuse. To
// refuse a call takes a service work, too, and its caller the way there and back. A
// Throttle holds no clock and no source of chance, and starts nothing: callers say.
//
// It is the client-side throttling of "Handling Overload" in Site Reliability
// Engineering (Beyer et al., 2016), whose counts here fade with time.
package throttle

import (
	"math"
	"sync"
	"time"
)

const (
	partsPerMillion = 1_000_000
	// mostHeld is the largest share that is held back: what is sent tells when the
	// service accepts again.
	mostHeld = 0.9
	// spared is how many refusals hold nothing back: who calls now and then is to ask
	// the service each time, as it was told to.
	spared = 10
)

// Off is the surplus with which nothing is ever held back.
const Off = 100 * partsPerMillion

// Policy says how much more is sent than is accepted, and how long calls count.
// The window is above zero.
type Policy struct {
	SurplusPPM uint64        // of the calls that are accepted, in parts per million; from Off on, nothing is held back
	Window     time.Duration // in which a call comes to count a third
}

// Throttle counts the calls of a caller, and those that were not refused. The zero
// value holds nothing back. It is safe for concurrent use.
type Throttle struct {
	mu              sync.Mutex
	at              time.Time // as of when these are
	calls, accepted float64
	after           time.Duration
}

// Allow reports whether a call may be sent; of what becomes of it, Accepted or
// Refused is to be told. One that is held back may be tried again after a time,
// which is what the service said of the last that it refused. Chance is at least 0
// and below 1.
func (t *Throttle) Allow(now time.Time, chance float64, p Policy) (after time.Duration, allowed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fade(now, p)
	surplus := t.calls - t.accepted*(1+float64(p.SurplusPPM)/partsPerMillion) - spared
	if p.SurplusPPM >= Off || surplus <= 0 || chance >= min(surplus/(t.calls+1), mostHeld) {
		return 0, true
	}
	t.calls++
	return t.after, false
}

// Accepted notes a call that was not refused, whatever came of it.
func (t *Throttle) Accepted(now time.Time, p Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fade(now, p)
	t.calls++
	t.accepted++
}

// Refused notes a call that was refused since the service is busy, and when the
// service says to try again.
func (t *Throttle) Refused(now time.Time, after time.Duration, p Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fade(now, p)
	t.calls++
	t.after = after
}

// Calm reports whether next to nothing counts any more: a new Throttle would do
// as well.
func (t *Throttle) Calm(now time.Time, p Policy) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fade(now, p)
	return t.calls < 0.01
}

// fade brings the counts to a time.
func (t *Throttle) fade(now time.Time, p Policy) {
	if passed := now.Sub(t.at); passed > 0 {
		left := math.Exp(-passed.Seconds() / p.Window.Seconds())
		t.calls *= left
		t.accepted *= left
		t.at = now
	}
}
