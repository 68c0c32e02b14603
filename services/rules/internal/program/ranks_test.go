package program

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRanksCountWhatPasses(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	number := func() int64 {
		switch r.IntN(8) {
		case 0:
			return minInt
		case 1:
			return maxInt
		case 2:
			return r.Int64() - r.Int64()
		}
		return r.Int64N(30) - 15
	}
	for range 500 {
		values := make([]int64, r.IntN(40))
		for i := range values {
			values[i] = number()
		}
		slices.Sort(values)
		of := newRanks(values)
		for _, op := range []opcode{opIntEq, opIntNe, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn} {
			n, m := number(), number()
			want := 0
			for _, v := range values {
				if op == opIntIn && n <= v && v <= m || op != opIntIn && (&test{op: op, n: n}).holdsOf(v) {
					want++
				}
			}
			if got := of.count(op, n, m); got != want {
				t.Fatalf("seed %d: %d of %v pass %d with %d and %d, want %d", seed, got, values, op, n, m, want)
			}
		}
	}
}
