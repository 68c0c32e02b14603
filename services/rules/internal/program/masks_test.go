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
		words := maskWords(1 + r.IntN(4000))
		first, more := random(words), random(words)
		sieve, joint := sieve{left: make([]uint64, words), held: make([]uint16, words/blockWords)}, joint{joined: slices.Clone(more)}
		sieve.begin(first)
		kept, joined := slices.Clone(first), slices.Clone(more)
		for range r.IntN(80) {
			m, n := random(words), random(words)
			stays := r.IntN(4) > 0
			if stays {
				sieve.add(&m[0])
			} else {
				sieve.keep(m)
			}
			joint.add(&m[0], &n[0])
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
		for w, word := range kept {
			if held := sieve.held[w/blockWords]>>(w%blockWords)&1 != 0; held != (word != 0) {
				t.Fatalf("seed %d: word %d of %d is %x and held %v", seed, w, words, word, held)
			}
		}
	}
}

// Processors differ in what they can; the answers do not.
func TestMasksAreTheSameOnAllProcessors(t *testing.T) {
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		words := maskWords(1 + r.IntN(4000))
		masks, pointers := make([][]uint64, 1+r.IntN(20)), make([]*uint64, 20)
		pairs := make([][2]*uint64, len(masks))
		for i := range masks {
			masks[i] = make([]uint64, words)
			for w := range masks[i] {
				masks[i][w] = r.Uint64() | r.Uint64()
			}
			pointers[i] = &masks[i][0]
			pairs[i] = [2]*uint64{pointers[r.IntN(i+1)], pointers[i]}
		}
		left, other := make([]uint64, words), make([]uint64, words)
		held, otherHeld := make([]uint16, words/blockWords), make([]uint16, words/blockWords)
		intersect(&left[0], &held[0], words, &pointers[0], len(masks))
		intersectWords(&other[0], &otherHeld[0], words, &pointers[0], len(masks))
		if !slices.Equal(left, other) || !slices.Equal(held, otherHeld) {
			t.Fatalf("seed %d: %d masks of %d words intersect otherwise", seed, len(masks), words)
		}
		unite(&left[0], words, &pairs[0], len(pairs))
		uniteWords(&other[0], words, &pairs[0], len(pairs))
		if !slices.Equal(left, other) {
			t.Fatalf("seed %d: %d pairs of %d words unite otherwise", seed, len(pairs), words)
		}
	}
}
