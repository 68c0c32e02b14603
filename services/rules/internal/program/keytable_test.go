package program

import "testing"

func TestKeyTablesTellKeysApart(t *testing.T) {
	var table keyTable
	for round := range 2 {
		table.reset(10 * round)
		for i := range 5000 {
			at := table.at(keyOf(i))
			if *at != 0 {
				t.Fatalf("key %d is known as %d before it came", i, *at)
			}
			*at = int32(i + 1)
			earlier := i / 2
			if got := *table.at(keyOf(earlier)); got != int32(earlier+1) {
				t.Fatalf("key %d has %d after %d others, want %d", earlier, got, i, earlier+1)
			}
		}
	}
}

func keyOf(i int) *key {
	var k key
	k.word(uint64(i % 7))
	k.word(uint64(i))
	return &k
}
