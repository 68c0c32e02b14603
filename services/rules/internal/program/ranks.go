package program

import (
	"math"
	"slices"
)

// ranks tell how many of some numbers are less than others.
type ranks struct {
	locator         // the numbers, each once, and maxInt
	less    []int32 // than each of them
	total   int
}

// newRanks takes at most maxEnds ascending numbers.
func newRanks(values []int64) *ranks {
	ends := make([]int64, 0, len(values)+1)
	r := &ranks{less: make([]int32, 0, len(values)+1), total: len(values)}
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			ends, r.less = append(ends, v), append(r.less, int32(i))
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] != maxInt {
		ends, r.less = append(ends, maxInt), append(r.less, int32(len(values)))
	}
	r.locator = newLocator(slices.Clip(ends))
	return r
}

// count is how many of the numbers pass a test.
func (r *ranks) count(op opcode, n, m int64) int {
	switch op {
	case opIntNe:
		return r.total - (r.upTo(n) - r.below(n))
	case opIntLt:
		return r.below(n)
	case opIntLe:
		return r.upTo(n)
	case opIntGt:
		return r.total - r.upTo(n)
	case opIntGe:
		return r.total - r.below(n)
	case opIntIn:
		return max(r.upTo(m)-r.below(n), 0)
	default:
		return r.upTo(n) - r.below(n)
	}
}

// below is how many of the numbers are less than n.
func (r *ranks) below(n int64) int { return int(r.less[r.find(n)]) }

// upTo is how many of the numbers are not more than n.
func (r *ranks) upTo(n int64) int {
	if n == math.MaxInt64 {
		return r.total
	}
	return r.below(n + 1)
}
