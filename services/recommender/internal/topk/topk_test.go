package topk

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// reference sorts everything.
func reference(scores []float32, k int, excluded *Bitmap) []Item {
	var all []Item
	for i, s := range scores {
		if s != s {
			s = float32(math.Inf(-1))
		}
		if !excluded.Has(uint32(i)) {
			all = append(all, Item{uint32(i), s})
		}
	}
	slices.SortFunc(all, func(a, b Item) int {
		if worse(b, a) {
			return -1
		}
		return 1
	})
	return all[:max(0, min(k, len(all)))]
}

func TestSelectEqualsSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 500 {
		n := random.IntN(200)
		scores := make([]float32, n)
		excluded := NewBitmap(random.IntN(n + 1))
		for i := range scores {
			switch random.IntN(10) {
			case 0:
				scores[i] = float32(math.NaN())
			case 1:
				scores[i] = float32(math.Inf(random.IntN(2)*2 - 1))
			default:
				scores[i] = float32(random.IntN(20)) / 4
			}
			if random.IntN(3) == 0 {
				excluded.Add(uint32(i))
			}
		}
		k := random.IntN(30) - 2
		got, want := Select(scores, k, excluded, nil), reference(scores, k, excluded)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d, n %d, k %d: %v, want %v", round, n, k, got, want)
		}
	}
}

func TestSelectFillsUpWhenTheBestAreExcluded(t *testing.T) {
	scores := make([]float32, 1000)
	excluded := NewBitmap(len(scores))
	for i := range scores {
		scores[i] = float32(i)
		if i >= 5 {
			excluded.Add(uint32(i))
		}
	}
	if got := Select(scores, 10, excluded, nil); len(got) != 5 || got[0].Index != 4 {
		t.Errorf("got %v, want the 5 that are allowed", got)
	}
}

func TestSelectAppendsAndDoesNotAllocate(t *testing.T) {
	scores := []float32{3, 1, 2}
	found := Select(scores, 2, nil, []Item{{9, 9}})
	if !slices.Equal(found, []Item{{9, 9}, {0, 3}, {2, 2}}) {
		t.Errorf("got %v", found)
	}
	buffer := make([]Item, 0, 2)
	if n := testing.AllocsPerRun(100, func() { Select(scores, 2, nil, buffer) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
