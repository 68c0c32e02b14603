package program

import "math/bits"

// planTable numbers facets by their packed keys. The zero value is empty.
type planTable struct {
	slots []planSlot // a power of two, at most half full
	count int
}

type planSlot struct {
	key    [2]uint64
	number int32 // 0: free
}

// at returns where the number of a key is kept; that is 0 for a new one and
// must then be set at once. It is valid until the next call.
func (t *planTable) at(key [2]uint64) *int32 {
	if 2*(t.count+1) > len(t.slots) {
		t.grow()
	}
	s := t.slot(key)
	if s.number == 0 {
		s.key = key
		t.count++
	}
	return &s.number
}

// slot is where a key stands, or where it would.
func (t *planTable) slot(key [2]uint64) *planSlot {
	mask := uint64(len(t.slots) - 1)
	high, low := bits.Mul64(key[0]^0x9E3779B97F4A7C15, key[1]^0xD6E8FEB86659FD93)
	for i := (high ^ low) & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.number == 0 || s.key == key {
			return s
		}
	}
}

// reset empties the table.
func (t *planTable) reset() {
	clear(t.slots)
	t.count = 0
}

func (t *planTable) grow() {
	old := t.slots
	t.slots = make([]planSlot, max(64, 2*len(old)))
	for _, s := range old {
		if s.number != 0 {
			*t.slot(s.key) = s
		}
	}
}
