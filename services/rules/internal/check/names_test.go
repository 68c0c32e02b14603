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

func TestNamesAreSmallAndHaveRoomForTheLongestSource(t *testing.T) {
	n := newNames(10_000)
	if size := 4 * len(n.slots); size > 64<<10 {
		t.Errorf("the table of 10,000 texts has %d bytes", size)
	}
	for _, number := range []int{0, 1, numberMask - 1} {
		if slot := numberMask + 1 | nameSlot(number+1); slot.number() != number {
			t.Errorf("slot %x has number %d, not %d", slot, slot.number(), number)
		}
	}
}
