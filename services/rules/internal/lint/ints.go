package lint

import (
	"math"
	"slices"
)

// ints is a set of int64: intervals, ascending, apart from each other.
type ints []interval

// interval holds lo to hi, both included.
type interval struct{ lo, hi int64 }

var allInts = ints{{math.MinInt64, math.MaxInt64}}

func between(lo, hi int64) ints {
	if lo > hi {
		return ints{}
	}
	return ints{{lo, hi}}
}

func atMost(n int64) ints  { return between(math.MinInt64, n) }
func atLeast(n int64) ints { return between(n, math.MaxInt64) }

// below holds what is less than n.
func below(n int64) ints {
	if n == math.MinInt64 {
		return ints{}
	}
	return atMost(n - 1)
}

// above holds what is more than n.
func above(n int64) ints {
	if n == math.MaxInt64 {
		return ints{}
	}
	return atLeast(n + 1)
}

// points holds the given numbers.
func points(numbers []int64) ints {
	slices.Sort(numbers)
	set := ints{}
	for _, n := range numbers {
		if last := len(set) - 1; last >= 0 && set[last].hi >= n-1 && n != math.MinInt64 {
			set[last].hi = n
			continue
		}
		set = append(set, interval{n, n})
	}
	return set
}

func (s ints) meet(t ints) ints {
	met := ints{}
	for i, j := 0, 0; i < len(s) && j < len(t); {
		if lo, hi := max(s[i].lo, t[j].lo), min(s[i].hi, t[j].hi); lo <= hi {
			met = append(met, interval{lo, hi})
		}
		if s[i].hi < t[j].hi {
			i++
		} else {
			j++
		}
	}
	return met
}

func (s ints) complement() ints {
	rest := ints{}
	next := int64(math.MinInt64)
	for _, part := range s {
		if part.lo > next {
			rest = append(rest, interval{next, part.lo - 1})
		}
		if part.hi == math.MaxInt64 {
			return rest
		}
		next = part.hi + 1
	}
	return append(rest, interval{next, math.MaxInt64})
}

func (s ints) within(t ints) bool {
	j := 0
	for _, part := range s {
		for j < len(t) && t[j].hi < part.lo {
			j++
		}
		if j == len(t) || t[j].lo > part.lo || t[j].hi < part.hi {
			return false
		}
	}
	return true
}

// ordinal maps decimals to int64 and keeps their order. -0 is 0. NaN, which
// no value of the language is, has no place.
func ordinal(f float64) int64 {
	if f == 0 {
		return 0
	}
	bits := int64(math.Float64bits(f))
	if bits < 0 {
		return math.MinInt64 - bits
	}
	return bits
}
