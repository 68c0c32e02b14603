package column

import (
	"math/bits"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// sparse is up to how many rows of a word are looked at one by one rather
// than all 64.
const sparse = 10

// interval is a test of whole numbers: low <= v <= low+span, or not with
// outside.
type interval struct {
	low     int64
	span    uint64
	outside bool
	never   bool
}

// intervalOf turns a comparison with a constant into an interval.
func intervalOf(op check.Op, c int64) interval {
	const least, most = -1 << 63, 1<<63 - 1
	switch op {
	case check.Eq:
		return interval{low: c}
	case check.Ne:
		return interval{low: c, outside: true}
	case check.Lt:
		if c == least {
			return interval{never: true}
		}
		return between(least, c-1)
	case check.Le:
		return between(least, c)
	case check.Gt:
		if c == most {
			return interval{never: true}
		}
		return between(c+1, most)
	default:
		return between(c, most)
	}
}

func between(low, high int64) interval { return interval{low: low, span: uint64(high) - uint64(low)} }

// has tells whether a number is in the interval, as 0 or 1: the borrow of a
// subtraction is the comparison without a branch.
func (t *interval) has(v int64) uint64 {
	_, out := bits.Sub64(t.span, uint64(v)-uint64(t.low), 0)
	return 1 - out
}

// ints sets in out the rows of sel whose number is in the interval. values is
// padded to whole words.
func (t *interval) ints(values []int64, sel, out Bits) {
	if t.never {
		clear(out)
		return
	}
	flip := uint64(0)
	if t.outside {
		flip = ^flip
	}
	if vectors {
		intervalWords(values[:64*len(sel)], t.low, t.span, flip, sel, out[:len(sel)])
		return
	}
	t.plainInts(values, flip, sel, out)
}

// plainInts is ints without vectors.
func (t *interval) plainInts(values []int64, flip uint64, sel, out Bits) {
	for w, left := range sel {
		if left == 0 {
			out[w] = 0
			continue
		}
		block := (*[64]int64)(values[w*64:])
		if bits.OnesCount64(left) > sparse {
			out[w] = (t.word(block) ^ flip) & left
			continue
		}
		found := uint64(0)
		for rest := left; rest != 0; rest &= rest - 1 {
			row := bits.TrailingZeros64(rest)
			found |= t.has(block[row]) << row
		}
		out[w] = (found ^ flip) & left
	}
}

// word tests 64 numbers.
func (t *interval) word(block *[64]int64) (found uint64) {
	low, span := uint64(t.low), t.span
	for i := 0; i < 64; i += 4 {
		_, a := bits.Sub64(span, uint64(block[i])-low, 0)
		_, b := bits.Sub64(span, uint64(block[i+1])-low, 0)
		_, c := bits.Sub64(span, uint64(block[i+2])-low, 0)
		_, d := bits.Sub64(span, uint64(block[i+3])-low, 0)
		found = found>>4 | (a|b<<1|c<<2|d<<3)<<60
	}
	return ^found
}

// codes sets in out the rows of sel whose code has a 1 in a table without
// anything untested, or with flip a 0.
func (t *table) codes(values []uint32, flip uint64, sel, out Bits) {
	if vectors && len(t.known) <= 32*tableWords {
		codeWords(values[:64*len(sel)], &t.ones, flip, sel, out[:len(sel)])
		return
	}
	plainCodes(values, t.known, flip, sel, out)
}

// plainCodes is codes without vectors.
func plainCodes(values []uint32, table []uint8, flip uint64, sel, out Bits) {
	for w, left := range sel {
		if left == 0 {
			out[w] = 0
			continue
		}
		block := (*[64]uint32)(values[w*64:])
		found := uint64(0)
		if bits.OnesCount64(left) > sparse {
			for i := 0; i < 64; i += 4 {
				a, b := uint64(table[block[i]]), uint64(table[block[i+1]])
				c, d := uint64(table[block[i+2]]), uint64(table[block[i+3]])
				found = found>>4 | (a|b<<1|c<<2|d<<3)<<60
			}
		} else {
			for rest := left; rest != 0; rest &= rest - 1 {
				row := bits.TrailingZeros64(rest)
				found |= uint64(table[block[row]]) << row
			}
		}
		out[w] = (found ^ flip) & left
	}
}

// rows sets in out the rows of sel that a test accepts.
func rows(sel, out Bits, test func(row int) bool) {
	for w, left := range sel {
		found := uint64(0)
		for ; left != 0; left &= left - 1 {
			bit := bits.TrailingZeros64(left)
			if test(w*64 + bit) {
				found |= 1 << bit
			}
		}
		out[w] = found
	}
}
