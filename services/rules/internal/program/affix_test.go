package program

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// outerText is of few letters, so that many texts begin and end alike.
func outerText(r *rand.Rand, longest int) string {
	b := make([]byte, r.IntN(longest+1))
	for i := range b {
		b[i] = "ab\x00"[r.IntN(3)]
	}
	return string(b)
}

func TestAffixesAreFound(t *testing.T) {
	const seed, words = 1, blockWords
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 3000 {
		a := &affixed{suffix: round%2 == 0}
		keys := make([]string, 1+r.IntN(100))
		for i := range keys {
			for keys[i] == "" {
				keys[i] = outerText(r, 3+r.IntN(20))
			}
			a.add(keys[i], int32(i))
		}
		base := make([]uint64, words)
		a.seal(base, &slab[uint64]{})
		for range 30 {
			text := outerText(r, 24)
			got := a.mask(nil, nil, &fact.Slot{S: text, OK: true}, base, make([]uint64, words))
			for i, key := range keys {
				want := strings.HasPrefix(text, key)
				if a.suffix {
					want = strings.HasSuffix(text, key)
				}
				if in := got[i>>6]>>(i&63)&1 == 1; in != want {
					t.Fatalf("seed %d, round %d: %q with %q: %t", seed, round, text, key, in)
				}
			}
		}
	}
}

func TestTextMapTellsTextsApart(t *testing.T) {
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var m textMap
		known := map[string]int32{}
		for range 200 {
			key := outerText(r, 1+r.IntN(30))
			if got := m.get(key); got != known[key] {
				t.Fatalf("seed %d: %q has %d, want %d", seed, key, got, known[key])
			}
			if known[key] == 0 {
				known[key] = int32(len(known) + 1)
				m.put(key, known[key])
			}
		}
	}
}
