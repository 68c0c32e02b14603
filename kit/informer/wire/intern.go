package wire

import "hash/maphash"

// internSlots is a power of two; a string longer than internLength is not kept.
const (
	internSlots  = 4096
	internLength = 128
)

// Interner keeps strings that are met again and again once: names of nodes,
// of namespaces, labels' values. It has a fixed number of places; a string
// takes the place of another one with the same hash, so that it never grows
// beyond 512 kB of strings. The zero value is empty. It is not safe for
// concurrent use.
type Interner struct {
	seed  maphash.Seed
	slots []string
}

// String returns a string that equals raw.
func (i *Interner) String(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	if len(raw) > internLength {
		return string(raw)
	}
	if i.slots == nil {
		i.seed, i.slots = maphash.MakeSeed(), make([]string, internSlots)
	}
	slot := &i.slots[maphash.Bytes(i.seed, raw)%internSlots]
	if *slot != string(raw) {
		*slot = string(raw)
	}
	return *slot
}
