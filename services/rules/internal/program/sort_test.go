package program

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSorterSortsAnyNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s sorter
	for _, n := range []int{0, 1, fewNumbers, fewNumbers + 1, 5000, 300} {
		for shift := 0; shift <= 64; shift += 4 {
			numbers := s.empty(n)
			for range n {
				numbers = append(numbers, int64(r.Uint64()>>shift<<(shift/3)))
			}
			if n > 200 {
				numbers[0], numbers[100], numbers[200] = minInt, maxInt, -1
			}
			want := slices.Sorted(slices.Values(numbers))
			if got := s.sort(numbers); !slices.Equal(got, want) {
				t.Fatalf("%d numbers of %d bits: %v, want %v", n, 64-shift, got, want)
			}
		}
	}
}
