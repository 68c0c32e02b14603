package rollout

import (
	"sync"
	"sync/atomic"
	"time"
)

// cells is the number of parts of a window.
const cells = 10

// Slow candidates are spared facts: after one that took slowFact, those of a
// slowPause. What they would have answered, the version in force answers.
const (
	slowFact  = 20 * time.Millisecond
	slowPause = time.Second
)

// Tracker compares two versions that judge the same facts.
type Tracker struct {
	bands   Bands
	current atomic.Pointer[cell]
	skipped atomic.Uint64
	resume  atomic.Int64 // Unix nanoseconds until when the candidate is spared
	tripped atomic.Pointer[string]

	mu      sync.Mutex
	ring    []*cell // the newest is current
	turned  time.Time
	former  total // of cells that left the ring
	changes [Verdicts][Verdicts]uint64
}

type cell struct {
	candidate, live counters
	changes         [Verdicts][Verdicts]atomic.Uint64 // live, candidate
}

type total struct{ candidate, live sum }

// Report is what a tracker has seen.
type Report struct {
	Candidate, Live             Tally // from the beginning
	CandidateWindow, LiveWindow Tally
	Changes                     [Verdicts][Verdicts]uint64 // facts by the verdict of live and of candidate
	Skipped                     uint64
}

// NewTracker returns a tracker that has seen nothing.
func NewTracker(bands Bands, now time.Time) *Tracker {
	t := &Tracker{bands: bands.WithDefaults(), turned: now}
	first := &cell{}
	t.ring = []*cell{first}
	t.current.Store(first)
	return t
}

// Observe counts a fact that both versions judged.
func (t *Tracker) Observe(candidate, live Outcome) {
	c := t.current.Load()
	c.candidate.add(candidate)
	c.live.add(live)
	if candidate.Verdict != live.Verdict {
		c.changes[live.Verdict][candidate.Verdict].Add(1)
	}
}

// Slow notes that the candidate took long, and whether it is to be spared.
func (t *Tracker) Slow(took time.Duration, now time.Time) {
	if took >= slowFact {
		t.resume.Store(now.Add(slowPause).UnixNano())
	}
}

// Spared tells whether the candidate is not to judge now.
func (t *Tracker) Spared(now time.Time) bool {
	if resume := t.resume.Load(); resume == 0 || now.UnixNano() >= resume {
		return false
	}
	t.skipped.Add(1)
	return true
}

// Turn moves the window on to a time.
func (t *Tracker) Turn(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for length := t.bands.Window / cells; now.Sub(t.turned) >= length; t.turned = t.turned.Add(length) {
		if now.Sub(t.turned) > 2*t.bands.Window {
			t.turned = now.Add(-t.bands.Window - length) // the clock has leapt: nothing of the window is left
		}
		next := &cell{}
		t.current.Store(next)
		t.ring = append(t.ring, next)
		// The oldest is not written any more: nobody holds it that long.
		if len(t.ring) > cells+1 {
			t.retire(t.ring[0])
			t.ring = append(t.ring[:0], t.ring[1:]...)
		}
	}
}

func (t *Tracker) retire(c *cell) {
	t.former.candidate.add(&c.candidate)
	t.former.live.add(&c.live)
	c.addChanges(&t.changes)
}

func (c *cell) addChanges(to *[Verdicts][Verdicts]uint64) {
	for i := range c.changes {
		for j := range c.changes[i] {
			to[i][j] += c.changes[i][j].Load()
		}
	}
}

// Report tells what was seen.
func (t *Tracker) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	var window total
	r := Report{Changes: t.changes, Skipped: t.skipped.Load()}
	for _, c := range t.ring {
		window.candidate.add(&c.candidate)
		window.live.add(&c.live)
		c.addChanges(&r.Changes)
	}
	all := t.former
	all.candidate.merge(&window.candidate)
	all.live.merge(&window.live)
	r.Candidate, r.Live = all.candidate.done(), all.live.done()
	r.CandidateWindow, r.LiveWindow = window.candidate.done(), window.live.done()
	return r
}

// Judge tells which band the candidate has left, empty while it has left none.
// Once it has, it stays tripped.
func (t *Tracker) Judge() string {
	if reason := t.Tripped(); reason != "" {
		return reason
	}
	r := t.Report()
	reason := t.bands.Left(r.CandidateWindow, r.LiveWindow)
	if reason != "" {
		t.tripped.Store(&reason)
	}
	return reason
}

// Tripped is the band that was left, empty while none was.
func (t *Tracker) Tripped() string {
	if reason := t.tripped.Load(); reason != nil {
		return *reason
	}
	return ""
}

// Enough tells whether as many facts were compared since the beginning as
// bands ask for.
func (t *Tracker) Enough() bool { return t.Report().Candidate.Facts >= uint64(t.bands.MinSample) }
