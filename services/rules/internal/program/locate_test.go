package program

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLocatorFindsTheFirstEnd(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	number := [...]func() int64{
		func() int64 { return r.Int64N(40) - 20 },
		func() int64 { return int64(1) << r.IntN(62) * (1 - 2*r.Int64N(2)) },
		func() int64 { return r.Int64() - r.Int64() },
		func() int64 { return 1e15 + r.Int64N(1000) }, // close together, beside one far away
		func() int64 { return []int64{minInt, minInt + 1, -1, 0, maxInt - 1, maxInt}[r.IntN(6)] },
	}
	evens := 0
	for round := range 2000 {
		kind := number[r.IntN(len(number))]
		ends := []int64{maxInt}
		for range r.IntN(300) {
			ends = append(ends, kind())
		}
		if r.IntN(2) == 0 {
			ends = append(ends, number[r.IntN(len(number))]())
		}
		slices.Sort(ends)
		ends = slices.Compact(ends)
		l := newLocator(ends)
		for range 50 {
			v := kind()
			switch r.IntN(3) {
			case 0:
				v = ends[r.IntN(len(ends))]
			case 1:
				v = ends[r.IntN(len(ends))] + r.Int64N(3) - 1
			default:
			}
			want, _ := slices.BinarySearch(ends, v)
			if got := l.find(v); got != want {
				t.Fatalf("seed %d, round %d: %d is at %d of %v, want %d", seed, round, v, got, ends, want)
			}
			if l.even {
				evens++
				if got := l.findEven(v); got != want {
					t.Fatalf("seed %d, round %d: %d is at %d of even ends %v, want %d", seed, round, v, got, ends, want)
				}
			}
		}
	}
	if evens == 0 {
		t.Error("no ends were even")
	}
}
