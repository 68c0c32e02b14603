package velocity

// index finds entries by a part of their hash: open addressing with linear
// probing. A slot holds 32 bits of the hash above 1 + the entry's ref; 0 is
// empty. It takes 10 to 20 bytes a key.
type index struct {
	slots []uint64
	used  int
	arena *arena
}

const firstSlots = 16

func (x *index) bytes() int64 { return int64(len(x.slots)) * 8 }

func fragment(h keyHash) uint64 { return h.low & 0xffffffff }

// first is where the search for a hash begins, in a table that is not empty.
func (x *index) first(h keyHash) (at, mask uint64) {
	mask = uint64(len(x.slots) - 1)
	return fragment(h) & mask, mask
}

// growth is the bytes that the table takes more with one more key.
func (x *index) growth() int64 {
	if (x.used+1)*5 <= len(x.slots)*4 {
		return 0
	}
	return int64(max(len(x.slots), firstSlots)) * 8
}

// put adds a ref that is not there.
func (x *index) put(h keyHash, ref uint32) {
	if x.growth() > 0 {
		x.grow()
	}
	x.place(fragment(h)<<32 | uint64(ref+1))
	x.used++
}

func (x *index) place(slot uint64) {
	mask := uint64(len(x.slots) - 1)
	i := slot >> 32 & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = slot
}

// grow doubles the table. It needs nothing of the entries.
func (x *index) grow() {
	former := x.slots
	x.slots = x.arena.words(max(2*len(former), firstSlots))
	for _, slot := range former {
		if slot != 0 {
			x.place(slot)
		}
	}
	x.arena.giveWords(former)
}

func (x *index) clear() {
	x.arena.giveWords(x.slots)
	x.slots, x.used = nil, 0
}

// move gives an entry another ref.
func (x *index) move(h keyHash, from, to uint32) {
	x.slots[x.position(h, from)] = fragment(h)<<32 | uint64(to+1)
}

func (x *index) position(h keyHash, ref uint32) uint64 {
	mask := uint64(len(x.slots) - 1)
	wanted := fragment(h)<<32 | uint64(ref+1)
	i := fragment(h) & mask
	for x.slots[i] != wanted {
		i = (i + 1) & mask
	}
	return i
}

// remove takes a ref out, closing the gap that it leaves.
func (x *index) remove(h keyHash, ref uint32) {
	mask := uint64(len(x.slots) - 1)
	gap := x.position(h, ref)
	x.used--
	for i := (gap + 1) & mask; x.slots[i] != 0; i = (i + 1) & mask {
		home := x.slots[i] >> 32 & mask
		if (i-home)&mask >= (i-gap)&mask {
			x.slots[gap] = x.slots[i]
			gap = i
		}
	}
	x.slots[gap] = 0
}
