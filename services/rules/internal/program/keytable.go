package program

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
)

// keyTable numbers keys of bytes, some ten thousands of which are met while a
// set is built: they stand one behind the other, not each for itself.
type keyTable struct {
	slots []keySlot // a power of two, at most half full
	text  []byte    // of all keys
	count int
}

type keySlot struct {
	hash       uint32
	value      int32 // 0: free
	begin, end uint32
}

// reset empties a table and gives it room for about so many keys of a condition.
func (k *keyTable) reset(keys int) {
	const keyBytes = 40
	if slots := 64 << bits.Len(uint(keys/32)); len(k.slots) < slots {
		k.slots = make([]keySlot, slots)
	} else {
		clear(k.slots)
	}
	k.text, k.count = slices.Grow(k.text[:0], keyBytes*keys), 0
}

var keySeed = maphash.MakeSeed()

// at returns where the value of a key is kept; that is 0 for a new one and must
// then be set at once. It is valid until the next call.
func (k *keyTable) at(key []byte) *int32 {
	if 2*(k.count+1) > len(k.slots) {
		k.grow()
	}
	hash := uint32(maphash.Bytes(keySeed, key))
	mask := uint32(len(k.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &k.slots[i]
		if s.value == 0 {
			begin := len(k.text)
			k.text = append(k.text, key...)
			*s = keySlot{hash: hash, begin: uint32(begin), end: uint32(len(k.text))}
			k.count++
			return &s.value
		}
		if s.hash == hash && bytes.Equal(k.text[s.begin:s.end], key) {
			return &s.value
		}
	}
}

func (k *keyTable) grow() {
	old := k.slots
	k.slots = make([]keySlot, max(64, 2*len(old)))
	mask := uint32(len(k.slots) - 1)
	for _, s := range old {
		if s.value == 0 {
			continue
		}
		i := s.hash & mask
		for k.slots[i].value != 0 {
			i = (i + 1) & mask
		}
		k.slots[i] = s
	}
}
