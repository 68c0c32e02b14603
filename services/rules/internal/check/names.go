package check

import "hash/maphash"

// names numbers texts, some ten thousands of which a large set has: a map would
// take twice as long.
type names struct {
	slots []nameSlot // a power of two, at most half full
	texts []string   // by number
}

// nameSlot is where a text may be: one more than its number, 0 for none.
type nameSlot struct {
	hash   uint32
	number int32
}

var nameSeed = maphash.MakeSeed()

// newNames returns an empty one with room for about so many texts.
func newNames(count int) *names {
	slots := 16
	for slots < 2*count {
		slots *= 2
	}
	return &names{slots: make([]nameSlot, slots), texts: make([]string, 0, count)}
}

// slot is where a text stands, or where it would.
func (n *names) slot(text string) (s *nameSlot, hash uint32) {
	hash = uint32(maphash.String(nameSeed, text))
	mask := uint32(len(n.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s = &n.slots[i]; s.number == 0 || s.hash == hash && n.texts[s.number-1] == text {
			return s, hash
		}
	}
}

// has reports whether a text has a number.
func (n *names) has(text string) bool {
	s, _ := n.slot(text)
	return s.number > 0
}

// add returns the number of a text; a new one gets the next, from 0.
func (n *names) add(text string) (number int, added bool) {
	s, hash := n.slot(text)
	if s.number == 0 {
		n.texts = append(n.texts, text)
		*s, added = nameSlot{hash, int32(len(n.texts))}, true
	}
	number = int(s.number - 1)
	if 2*len(n.texts) > len(n.slots) {
		n.grow()
	}
	return number, added
}

func (n *names) grow() {
	old := n.slots
	n.slots = make([]nameSlot, 2*len(old))
	mask := uint32(len(n.slots) - 1)
	for _, s := range old {
		if s.number == 0 {
			continue
		}
		i := s.hash & mask
		for n.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		n.slots[i] = s
	}
}
