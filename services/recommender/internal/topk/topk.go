// Package topk selects the best scores exactly, leaving out excluded items.
// The filter is part of the selection: as long as k items are allowed there
// are k results, however many of the best ones are excluded.
package topk

import (
	"math"
	"slices"
)

// Item is a position in the scores, with its score.
type Item struct {
	Index uint32
	Score float32
}

// Bitmap is a set of positions. Its zero value is empty; it grows as needed.
type Bitmap struct{ words []uint64 }

// NewBitmap returns an empty set with room for positions below n.
func NewBitmap(n int) *Bitmap { return &Bitmap{words: make([]uint64, (n+63)/64)} }

// Add puts position i into the set.
func (b *Bitmap) Add(i uint32) {
	for int(i/64) >= len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[i/64] |= 1 << (i % 64)
}

// Remove takes position i out of the set.
func (b *Bitmap) Remove(i uint32) {
	if int(i/64) < len(b.words) {
		b.words[i/64] &^= 1 << (i % 64)
	}
}

// Clone returns a copy.
func (b *Bitmap) Clone() *Bitmap { return &Bitmap{words: slices.Clone(b.words)} }

// Has tells whether position i is in the set. A nil set is empty.
func (b *Bitmap) Has(i uint32) bool {
	return b != nil && int(i/64) < len(b.words) && b.words[i/64]&(1<<(i%64)) != 0
}

// Select appends to found the min(k, allowed) best items that are not in
// excluded, best first, and returns it. Of equal scores the lower index is
// the better; NaN is worse than any number. k below 1 finds nothing.
func Select(scores []float32, k int, excluded *Bitmap, found []Item) []Item {
	if k < 1 {
		return found
	}
	start := len(found)
	heap := found[start:]
	for i, score := range scores {
		if score != score {
			score = float32(math.Inf(-1))
		}
		if len(heap) == k && score <= heap[0].Score {
			continue // an equal score has a higher index here, so it is worse
		}
		if excluded.Has(uint32(i)) {
			continue
		}
		item := Item{uint32(i), score}
		if len(heap) < k {
			heap = append(heap, item)
			up(heap)
			continue
		}
		heap[0] = item
		down(heap)
	}
	found = append(found[:start], heap...)
	sortDescending(found[start:])
	return found
}

func worse(a, b Item) bool {
	return a.Score < b.Score || a.Score == b.Score && a.Index > b.Index
}

// up restores the heap, worst first, after an append.
func up(heap []Item) {
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !worse(heap[i], heap[parent]) {
			return
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
}

// down restores the heap after its first item was replaced.
func down(heap []Item) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && worse(heap[child+1], heap[child]) {
			child++
		}
		if !worse(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// sortDescending turns a heap with the worst first into best first.
func sortDescending(heap []Item) {
	for n := len(heap) - 1; n > 0; n-- {
		heap[0], heap[n] = heap[n], heap[0]
		down(heap[:n])
	}
}
