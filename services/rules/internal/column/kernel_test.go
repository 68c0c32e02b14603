package column

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// TestIntervalsAgreeWithComparisons tries comparisons at the ends of int64 too,
// with the vectors of the processor, if any, and without.
func TestIntervalsAgreeWithComparisons(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, 5, math.MaxInt64 - 1, math.MaxInt64}
	draw := func() int64 {
		if random.IntN(3) == 0 {
			return int64(random.Uint64())
		}
		return edges[random.IntN(len(edges))]
	}
	for range 3_000 {
		values := make([]int64, 128)
		for i := range values {
			values[i] = draw()
		}
		sel, out := Bits{random.Uint64(), random.Uint64() & random.Uint64() & random.Uint64() & random.Uint64()}, make(Bits, 2)
		op, limit := check.Eq+check.Op(random.IntN(6)), draw()
		test := intervalOf(op, limit)
		test.ints(values, sel, out)
		for row, v := range values {
			order := 0
			if v < limit {
				order = -1
			} else if v > limit {
				order = 1
			}
			if want := sel.Has(row) && holds(op, order); out.Has(row) != want {
				t.Fatalf("%d %d %d: got %v", v, op, limit, out.Has(row))
			}
		}
		if test.never {
			continue
		}
		flip, plain := uint64(0), make(Bits, 2)
		if test.outside {
			flip = ^flip
		}
		if test.plainInts(values, flip, sel, plain); !slices.Equal(out, plain) {
			t.Fatalf("%x, without vectors %x", out, plain)
		}
	}
}

// TestCodesAgreeWithTheirTable has tables that fit a vector register and
// larger ones.
func TestCodesAgreeWithTheirTable(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 9))
	for _, size := range []int{1, 2, 31, 32, 33, 500, 512, 513, 2000} {
		for range 200 {
			known := table{known: make([]uint8, size)}
			for code := range known.known {
				if known.known[code] = uint8(random.IntN(2)); code < 32*tableWords {
					known.ones[code/32] |= uint32(known.known[code]) << (code % 32)
				}
			}
			values := make([]uint32, 192)
			for i := range values {
				values[i] = uint32(random.IntN(size))
			}
			sel, out := Bits{random.Uint64(), 0, random.Uint64() & random.Uint64() & random.Uint64() & random.Uint64()}, Bits{1, 1, 1}
			flip := -uint64(random.IntN(2))
			known.codes(values, flip, sel, out)
			plain := make(Bits, 3)
			plainCodes(values, known.known, flip, sel, plain)
			for row, code := range values {
				want := sel.Has(row) && (known.known[code] == 1) == (flip == 0)
				if out.Has(row) != want || plain.Has(row) != want {
					t.Fatalf("size %d flip %x code %d: got %v, without vectors %v", size, flip, code, out.Has(row), plain.Has(row))
				}
			}
		}
	}
}
