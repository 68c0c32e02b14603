package program

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFittedTextMapsDoNotDependOnTheirMemory(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	var used textMap
	for round := range 200 {
		var fresh textMap
		used.reset()
		for range r.IntN(300) {
			key := ended(outerText(r, 1+r.IntN(30)))
			want, added := fresh.number(key.key(), key.text)
			if got, again := used.number(key.key(), key.text); got != want || again != added {
				t.Fatalf("seed %d, round %d: %q has %d in used memory, want %d", seed, round, key.text, got, want)
			}
		}
		fit, want := used.fitted(), fresh.fitted()
		if !slices.Equal(fit.slots, want.slots) || !slices.Equal(fit.texts, want.texts) {
			t.Fatalf("seed %d, round %d: a map in used memory has another copy", seed, round)
		}
		for i, s := range fresh.slots {
			if s.value == 0 || s.length <= longText {
				continue
			}
			if got := fit.get(fresh.texts[i]); got != s.value {
				t.Fatalf("seed %d, round %d: the copy has %d for %q, want %d", seed, round, got, fresh.texts[i], s.value)
			}
		}
	}
}
