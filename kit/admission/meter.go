package admission

import (
	"math"
	"time"
)

const (
	// firstEach is what a unit is taken to take before it is known.
	firstEach = time.Millisecond
	// sampleTime is what a sample lasts at least, adaptTime the time in which
	// two thirds of a change are believed.
	sampleTime = 20 * time.Millisecond
	adaptTime  = 150 * time.Millisecond
	// Estimates are raised so that about this share of jobs is late all the
	// same. The margin moves with each sample, within its bounds.
	lateShare  = 0.015
	marginStep = 0.3
	minMargin  = 1.1
	maxMargin  = 2
)

// meter measures how fast work is done. Only with enough work waiting does it
// learn that a unit takes longer: a batch of one takes nearly as long as one
// of a hundred.
type meter struct {
	each    float64 // ns that a unit takes: time over work
	time    float64 // ns of samples, the older the less
	work    float64 // units in them
	decided float64 // decided ones among these
	margin  float64

	busy     bool
	since    time.Time // busy since, or the last end while busy
	sample   time.Duration
	units    int
	decides  int
	starving bool // too little waited in the sample
	pressed  bool // yet some were refused

	flight float64 // ns from start to end, smoothed
	judged int     // jobs in the sample that were near the limit
	late   int     // of these
}

func newMeter() meter {
	return meter{
		each: float64(firstEach), time: float64(sampleTime), work: float64(sampleTime / firstEach), margin: minMargin,
	}
}

// others is the share of units that are not decided.
func (m *meter) others() float64 { return 1 - m.decided/m.work }

// begin tells that something is being done, and whether nothing was.
func (m *meter) begin(now time.Time) (first bool) {
	if m.busy {
		return false
	}
	m.busy, m.since = true, now
	return true
}

// end tells that units are done, whether anything else is being done, and
// whether too little is. It is not believed that it took longer than longest.
func (m *meter) end(now time.Time, j *job, busy, starving bool, longest time.Duration) {
	took := max(0, now.Sub(m.since))
	m.since = now
	m.sample += took
	m.flight += (float64(now.Sub(j.begun)) - m.flight) * weight(min(took, longest))
	m.units += j.Cost
	if j.Decided {
		m.decides += j.Cost
	}
	m.starving = m.starving || starving
	m.busy = busy
	if m.sample < sampleTime {
		return
	}
	if !m.starving || m.pressed || float64(m.sample) < m.each*float64(m.units) {
		m.sample = min(m.sample, adaptTime) // a standstill says little of what comes after
		keep := 1 - weight(m.sample)
		m.time = m.time*keep + float64(m.sample)
		m.work = m.work*keep + float64(m.units)
		m.decided = m.decided*keep + float64(m.decides)
		m.each = m.time / m.work
	}
	if m.judged > 0 {
		m.margin += marginStep * (float64(m.late)/float64(m.judged) - lateShare)
		m.margin = min(max(m.margin, minMargin), maxMargin)
	}
	m.judged, m.late = 0, 0
	m.sample, m.units, m.decides, m.starving, m.pressed = 0, 0, 0, false, false
}

// cut tells that something was given up undone, and whether anything else is
// being done.
func (m *meter) cut(busy bool) { m.busy = busy }

// weight is how much a sample of some length counts.
func weight(length time.Duration) float64 {
	return -math.Expm1(-float64(length) / float64(adaptTime))
}

// remaining is what is left of a batch that takes a time, in ns. One that takes
// longer than twice that is expected to take as long again.
func (m *meter) remaining(now time.Time, takes float64) float64 {
	if !m.busy {
		return 0
	}
	passed := float64(now.Sub(m.since))
	return max(0, takes-passed, passed-2*takes)
}

// judge tells whether a job that was near the limit was late.
func (m *meter) judge(late bool) {
	m.judged++
	if late {
		m.late++
	}
}
