package column

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// TestIntervalsAgreeWithComparisons tries comparisons at the ends of int64 too,
// whichever kernel this build has.
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
		if a, b := test.word((*[64]int64)(values)), test.scalarWord((*[64]int64)(values)); a != b && !test.never {
			t.Fatalf("%x, scalar %x", a, b)
		}
	}
}
