package check

import (
	"hash/maphash"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// names numbers texts, some ten thousands of which a large set has: a map would
// take twice as long, and what is not small is far by the next time it is asked.
type names struct {
	slots []nameSlot // a power of two, at most three quarters full
	texts []string   // by number
}

// nameSlot is where a text may be: one more than its number, 0 for none, and
// above it some bits of its hash.
type nameSlot uint32

const (
	numberBits = 21
	numberMask = 1<<numberBits - 1
)

// A text takes some bytes of a source, so that all of one have a number.
const _ = uint(numberMask - syntax.MaxSource/5)

var nameSeed = maphash.MakeSeed()

// newNames returns an empty one with room for about so many texts.
func newNames(count int) *names {
	slots := 16
	for 3*slots < 4*count {
		slots *= 2
	}
	return &names{slots: make([]nameSlot, slots), texts: make([]string, 0, count)}
}

// slot is where a text stands, or where it would; tag is what its slot has
// besides the number.
func (n *names) slot(text string) (s *nameSlot, tag nameSlot) {
	hash := maphash.String(nameSeed, text)
	tag = nameSlot(hash>>32) &^ numberMask
	mask := uint64(len(n.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s = &n.slots[i]; *s == 0 || *s&^numberMask == tag && n.texts[s.number()] == text {
			return s, tag
		}
	}
}

// number is that of the text in a slot, -1 for none.
func (s nameSlot) number() int { return int(s&numberMask) - 1 }

// has reports whether a text has a number.
func (n *names) has(text string) bool {
	s, _ := n.slot(text)
	return *s != 0
}

// add returns the number of a text; a new one gets the next, from 0.
func (n *names) add(text string) (number int, added bool) {
	s, tag := n.slot(text)
	if *s != 0 {
		return s.number(), false
	}
	n.texts = append(n.texts, text)
	*s = tag | nameSlot(len(n.texts))
	if 4*len(n.texts) > 3*len(n.slots) {
		n.grow()
	}
	return len(n.texts) - 1, true
}

func (n *names) grow() {
	n.slots = make([]nameSlot, 2*len(n.slots))
	for i, text := range n.texts {
		s, tag := n.slot(text)
		*s = tag | nameSlot(i+1)
	}
}
