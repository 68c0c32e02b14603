package check

import (
	"fmt"
	"testing"
)

func TestNamesNumberTextsInTheirOrder(t *testing.T) {
	const count = 1000
	n := newNames(3) // far too few
	for round := range 2 {
		for i := range count {
			text := fmt.Sprint("rule ", i)
			if known := n.has(text); known != (round == 1) {
				t.Fatalf("round %d: %s is known: %v", round, text, known)
			}
			if number, added := n.add(text); number != i || added != (round == 0) {
				t.Fatalf("round %d: %s has number %d, added: %v", round, text, number, added)
			}
		}
	}
	if n.has("") || n.has("rule 1000") {
		t.Error("texts that were not added are known")
	}
}
