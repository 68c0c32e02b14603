package program

import (
	"math/bits"
	"slices"
)

// keyTable numbers keys, some ten thousands of which are met while a
// set is built: they stand one behind the other, not each for itself. Its slots
// are small, so that they stay near.
type keyTable struct {
	slots []uint32 // a power of two, at most half full: 1 + a key's index in keys, below a tag of its hash; 0: free
	keys  []tableKey
	words []uint64 // of all keys
}

type tableKey struct {
	hash       uint32
	value      int32
	begin, end uint32
}

// keyBits are enough for the keys of a source of syntax.MaxSource.
const keyBits = 24

// reset empties a table and gives it room for about so many keys of a condition.
func (k *keyTable) reset(keys int) {
	const keyWords = 9
	if slots := 64 << bits.Len(uint(keys/32)); len(k.slots) < slots {
		k.slots = make([]uint32, slots)
	} else {
		clear(k.slots)
	}
	k.keys, k.words = slices.Grow(k.keys[:0], keys), slices.Grow(k.words[:0], keyWords*keys)
}

// at returns where the value of a key is kept; that is 0 for a new one and must
// then be set at once. It is valid until the next call.
func (k *keyTable) at(of *key) *int32 {
	if 2*(len(k.keys)+1) > len(k.slots) {
		k.grow()
	}
	hash := uint32(of.hash)
	mask := uint32(len(k.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := k.slots[i]
		if slot == 0 {
			begin := uint32(len(k.words))
			k.words = append(k.words, of.words...)
			k.keys = append(k.keys, tableKey{hash: hash, begin: begin, end: uint32(len(k.words))})
			k.slots[i] = k.slot(len(k.keys) - 1)
			return &k.keys[len(k.keys)-1].value
		}
		if (slot^hash)>>keyBits != 0 {
			continue
		}
		if known := &k.keys[slot<<(32-keyBits)>>(32-keyBits)-1]; known.hash == hash && slices.Equal(k.words[known.begin:known.end], of.words) {
			return &known.value
		}
	}
}

// slot is what stands for a key in slots.
func (k *keyTable) slot(i int) uint32 {
	return k.keys[i].hash>>keyBits<<keyBits | uint32(i+1)
}

func (k *keyTable) grow() {
	k.slots = make([]uint32, max(64, 2*len(k.slots)))
	mask := uint32(len(k.slots) - 1)
	for number := range k.keys {
		i := k.keys[number].hash & mask
		for k.slots[i] != 0 {
			i = (i + 1) & mask
		}
		k.slots[i] = k.slot(number)
	}
}
