package program

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFewTextsAreThoseOfTheSet(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	text := func() string {
		bytes := make([]byte, r.IntN(longText+2))
		for i := range bytes {
			bytes[i] = "ab\x00"[r.IntN(3)]
		}
		return string(bytes)
	}
	made := 0
	for range 2000 {
		members := make([]string, r.IntN(mostFewTexts+2))
		for i := range members {
			if members[i] = text(); r.IntN(2) == 0 {
				members[i] = fmt.Sprint(i, members[i][:len(members[i])/2])
			}
		}
		slices.Sort(members)
		members = slices.Compact(members)
		few := newFewTexts(members)
		if few == nil {
			continue
		}
		made++
		for range 40 {
			if v := text(); few.has(v) != slices.Contains(members, v) {
				t.Fatalf("seed %d: %q in %q: %t", seed, v, members, few.has(v))
			}
		}
		for _, v := range members {
			if !few.has(v) {
				t.Fatalf("seed %d: %q is not in %q", seed, v, members)
			}
		}
	}
	if made < 500 {
		t.Errorf("only %d sets were made", made)
	}
}
