package rollout

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Outcome is what became of one fact by one version.
type Outcome struct {
	Failed   bool  // it could not be judged, or only with unknown values
	Denied   bool  // it was denied
	Answered bool  // it was the answer
	Verdict  uint8 // below Verdicts
	Took     time.Duration
}

// Verdicts is the number of different verdicts.
const Verdicts = 5

// Tally is what one version judged.
type Tally struct {
	Facts, Errors, Denied, Answered uint64
	P99                             time.Duration
}

// DenyPPM is the share of denied facts in parts per million.
func (t Tally) DenyPPM() uint64 { return ppm(t.Denied, t.Facts) }

// ErrorPPM is the share of failed facts in parts per million.
func (t Tally) ErrorPPM() uint64 { return ppm(t.Errors, t.Facts) }

func ppm(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return part * 1_000_000 / whole
}

// slots is the number of a histogram's buckets: four for each power of two
// nanoseconds.
const slots = 4 * 44

// counters are those of one version, in one part of a window.
type counters struct {
	facts, errors, denied, answered atomic.Uint64
	took                            [slots]atomic.Uint32
}

func (c *counters) add(o Outcome) {
	c.facts.Add(1)
	if o.Failed {
		c.errors.Add(1)
	}
	if o.Denied {
		c.denied.Add(1)
	}
	if o.Answered {
		c.answered.Add(1)
	}
	c.took[slotOf(o.Took)].Add(1)
}

// slotOf numbers the bucket that holds a duration.
func slotOf(d time.Duration) int {
	n := uint64(max(d, 4))
	exponent := bits.Len64(n) - 1 // at least 2
	return min(exponent*4+int(n>>(exponent-2)&3), slots-1)
}

// ceiling is the end of a bucket.
func ceiling(slot int) time.Duration {
	return time.Duration(uint64(slot%4+5) << (slot/4 - 2))
}

// sum adds up counters that others may still add to.
type sum struct {
	tally Tally
	took  [slots]uint64
}

func (s *sum) add(c *counters) {
	s.tally.Facts += c.facts.Load()
	s.tally.Errors += c.errors.Load()
	s.tally.Denied += c.denied.Load()
	s.tally.Answered += c.answered.Load()
	for i := range c.took {
		s.took[i] += uint64(c.took[i].Load())
	}
}

func (s *sum) merge(other *sum) {
	s.tally.Facts += other.tally.Facts
	s.tally.Errors += other.tally.Errors
	s.tally.Denied += other.tally.Denied
	s.tally.Answered += other.tally.Answered
	for i := range s.took {
		s.took[i] += other.took[i]
	}
}

// done returns the tally with its percentile.
func (s *sum) done() Tally {
	t := s.tally
	total := uint64(0)
	for _, n := range s.took {
		total += n
	}
	rank := total - total/100 // at least this many are at most the percentile
	seen := uint64(0)
	for i, n := range s.took {
		if seen += n; n > 0 && seen >= rank {
			t.P99 = ceiling(i)
			break
		}
	}
	return t
}
