package upstream

import (
	"container/heap"
	"math"
)

// longestWheel bounds a wheel, but for one turn of each member. Weights too
// large for it are rounded.
const longestWheel = 8192

// newWheel lays out one round of turns in which each member has as many as its
// weight says, spread evenly: the next turn is always that of the member whose
// last one, for its weight, is the longest ago.
func newWheel(members []member) []uint32 {
	total, divisor := uint64(0), uint64(0)
	for _, m := range members {
		total += uint64(m.weight)
		divisor = gcd(divisor, uint64(m.weight))
	}
	divisor = max(divisor, (total+longestWheel-1)/longestWheel)
	turns := make(turnHeap, len(members))
	length := uint64(0)
	for i, m := range members {
		n := max((uint64(m.weight)+divisor/2)/divisor, 1)
		length += n
		_, offset := math.Modf(float64(i+1) * (math.Phi - 1)) // so that equals do not all have theirs at once
		turns[i] = memberTurn{index: uint32(i), step: 1 / float64(n), due: offset / float64(n)}
	}
	heap.Init(&turns)
	wheel := make([]uint32, 0, length)
	for range length {
		wheel = append(wheel, turns[0].index)
		turns[0].due += turns[0].step
		heap.Fix(&turns, 0)
	}
	return wheel
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// memberTurn is when a member's next turn is due, within a round of length 1.
type memberTurn struct {
	index     uint32
	step, due float64
}

// turnHeap has the turn that is due first on top.
type turnHeap []memberTurn

func (h turnHeap) Len() int { return len(h) }
func (h turnHeap) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].index < h[j].index
}
func (h turnHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *turnHeap) Push(x any)   { *h = append(*h, x.(memberTurn)) }
func (h *turnHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
