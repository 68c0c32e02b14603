package program

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Masks are put together in blocks and several at a time; it must come to the
// same as word by word.
func TestMasksAreIntersectedAndUnited(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	random := func(words int) []uint64 {
		mask := make([]uint64, words)
		for i := range mask {
			mask[i] = r.Uint64() | r.Uint64() | r.Uint64()
		}
		return mask
	}
	for range 500 {
		words := maskWords(1 + r.IntN(2000))
		left := random(words)
		sieve, joint := sieve{left: slices.Clone(left)}, joint{joined: slices.Clone(left)}
		kept, joined := slices.Clone(left), slices.Clone(left)
		for range r.IntN(40) {
			m, n := random(words), random(words)
			stays := r.IntN(4) > 0
			sieve.keep(m, stays)
			joint.add(m, n)
			for w := range kept {
				kept[w] &= m[w]
				joined[w] |= m[w] & n[w]
			}
			if !stays { // what the mask held then was kept at once
				joint.flush()
				clear(m)
			}
		}
		sieve.flush()
		joint.flush()
		if !slices.Equal(sieve.left, kept) || !slices.Equal(joint.joined, joined) {
			t.Fatalf("seed %d: %d words: otherwise than word by word", seed, words)
		}
	}
}
