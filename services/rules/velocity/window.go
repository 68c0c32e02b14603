package velocity

import (
	"math"
	"unsafe"
)

const (
	steps = 60
	// MaxDistinct is the number of different values that a key can have
	// within a window. More read as MaxDistinct.
	MaxDistinct = 256
)

// Reading is what a window holds.
type Reading struct {
	Count    int64
	Sum      int64
	Max      int64 // of the values; 0 when Count is 0
	Distinct int64
	Overflow bool // the sum does not fit: Sum is not to be used
}

// window holds the steps of one key in which something was counted, in
// ascending order, at most steps+1 of them.
type window struct {
	buckets []bucket
	seen    []sighting // only of counters that count different values
}

type bucket struct {
	step, count, sum, max int64
}

type sighting struct {
	hash uint64
	step int64
}

// add counts a value in a step. It returns false, and counts nothing, when the
// step is older than the window. A hash other than 0 counts as a value seen.
func (w *window) add(step, value int64, hash uint64) bool {
	newest := w.newest()
	if len(w.buckets) > 0 && step <= newest-steps {
		return false
	}
	w.prune(max(step, newest) - steps)
	if hash != 0 {
		w.see(step, hash)
	}
	i := len(w.buckets)
	for i > 0 && w.buckets[i-1].step > step {
		i--
	}
	if i > 0 && w.buckets[i-1].step == step {
		b := &w.buckets[i-1]
		b.count++
		b.sum = addSaturating(b.sum, value)
		b.max = max(b.max, value)
		return true
	}
	w.buckets = append(w.buckets, bucket{})
	copy(w.buckets[i+1:], w.buckets[i:])
	w.buckets[i] = bucket{step, 1, value, value}
	return true
}

// newest is the last step in which something was counted.
func (w *window) newest() int64 {
	if len(w.buckets) == 0 {
		return math.MinInt64 / 2
	}
	return w.buckets[len(w.buckets)-1].step
}

// prune forgets the steps up to limit.
func (w *window) prune(limit int64) {
	n := 0
	for n < len(w.buckets) && w.buckets[n].step <= limit {
		n++
	}
	if n > 0 {
		w.buckets = w.buckets[:copy(w.buckets, w.buckets[n:])]
	}
	kept := w.seen[:0]
	for _, s := range w.seen {
		if s.step > limit {
			kept = append(kept, s)
		}
	}
	w.seen = kept
}

func (w *window) see(step int64, hash uint64) {
	oldest := 0
	for i := range w.seen {
		if w.seen[i].hash == hash {
			w.seen[i].step = max(w.seen[i].step, step)
			return
		}
		if w.seen[i].step < w.seen[oldest].step {
			oldest = i
		}
	}
	if len(w.seen) == MaxDistinct {
		w.seen[oldest] = sighting{hash, step}
		return
	}
	w.seen = append(w.seen, sighting{hash, step})
}

// read sums up the window that ends with a step.
func (w *window) read(step int64) Reading {
	r := Reading{}
	for i := range w.buckets {
		b := &w.buckets[i]
		if b.step <= step-steps || b.step > step {
			continue
		}
		if r.Count == 0 || b.max > r.Max {
			r.Max = b.max
		}
		r.Count += b.count
		sum := addSaturating(r.Sum, b.sum)
		r.Overflow = r.Overflow || sum == math.MaxInt64 || sum == math.MinInt64
		r.Sum = sum
	}
	for i := range w.seen {
		if s := w.seen[i].step; s > step-steps && s <= step {
			r.Distinct++
		}
	}
	return r
}

func (w *window) bytes() int64 {
	return int64(cap(w.buckets))*int64(unsafe.Sizeof(bucket{})) + int64(cap(w.seen))*int64(unsafe.Sizeof(sighting{}))
}

// addSaturating adds, stopping at the ends of int64.
func addSaturating(a, b int64) int64 {
	sum := a + b
	if a > 0 && b > 0 && sum <= 0 {
		return math.MaxInt64
	}
	if a < 0 && b < 0 && sum >= 0 {
		return math.MinInt64
	}
	return sum
}
