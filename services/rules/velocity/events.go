package velocity

// events remembers which events were counted for which keys: 48 bits of a
// hash and, in the lower 16, the columns that were counted. It has two
// generations; when the newer one is full the older one is forgotten. That an
// event is taken for another has a probability of 2*limit/2^48.
type events struct {
	limit        int // of a generation
	newer, older []uint64
	count        int
}

const columnBits = 1<<16 - 1

func (v *events) bytes() int64 { return int64(len(v.newer)+len(v.older)) * 8 }

// note adds columns to those of an event and returns those it had before.
func (v *events) note(event uint64, columns uint16) (before uint16) {
	event |= 1 << 16 // never 0
	if slot := lookUp(v.newer, event); slot != nil && *slot != 0 {
		before = uint16(*slot)
		*slot |= uint64(columns)
		return before
	}
	if slot := lookUp(v.older, event); slot != nil && *slot != 0 {
		before = uint16(*slot)
		if before|columns == before {
			return before
		}
	}
	if v.count*2 >= len(v.newer) {
		v.grow()
	}
	*lookUp(v.newer, event) = event&^columnBits | uint64(before|columns)
	v.count++
	return before
}

// grow doubles the newer generation up to its limit; from there on it begins
// another.
func (v *events) grow() {
	if v.count >= v.limit {
		v.older, v.newer, v.count = v.newer, make([]uint64, len(v.newer)), 0
		return
	}
	former := v.newer
	v.newer = make([]uint64, max(2*len(former), 16))
	for _, slot := range former {
		if slot != 0 {
			*lookUp(v.newer, slot) = slot
		}
	}
}

// lookUp is the slot of an event or the empty one where it belongs; nil in an
// empty table.
func lookUp(table []uint64, event uint64) *uint64 {
	if len(table) == 0 {
		return nil
	}
	mask := uint64(len(table) - 1)
	for i := event >> 20 & mask; ; i = (i + 1) & mask {
		if slot := &table[i]; *slot == 0 || (*slot^event)>>16 == 0 {
			return slot
		}
	}
}
