package program

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// smallSet is up to how many members are looked for one after the other.
const smallSet = 8

// intSet is a set of whole numbers: few in order, or many hashed.
type intSet struct {
	few  []int64
	many map[int64]struct{}
}

func newIntSet(members map[int64]struct{}) intSet {
	if len(members) > smallSet {
		return intSet{many: members}
	}
	few := make([]int64, 0, len(members))
	for v := range members {
		few = append(few, v)
	}
	slices.Sort(few)
	return intSet{few: few}
}

func (s *intSet) has(v int64) bool {
	if s.many != nil {
		_, in := s.many[v]
		return in
	}
	return slices.Contains(s.few, v)
}

// textSet is a set of strings.
type textSet struct {
	members []string // in order, each once
	lookup  textMap  // of members, once they are indexed
}

// newTextSet takes members in order, each once.
func newTextSet(members []string) textSet {
	s := textSet{members: members}
	s.index(&slab[textSlot]{make([]textSlot, roomFor(len(members)))})
	return s
}

// index makes the look-up of the members, once.
func (s *textSet) index(slots *slab[textSlot]) {
	if s.lookup.count > 0 {
		return
	}
	s.lookup.reserve(len(s.members), slots)
	for i, v := range s.members {
		s.lookup.put(v, int32(i+1))
	}
}

func (s *textSet) has(v string) bool { return s.lookup.get(v) > 0 }

// fewTexts is a set of few short strings. Each has a slot of its own, so that
// looking one up is one comparison.
type fewTexts struct {
	slots []textSlot // a power of two
	seed  uint64
}

const (
	mostFewTexts = 16
	seedsTried   = 64
)

// newFewTexts is nil for members that are many or long.
func newFewTexts(members []string) *fewTexts {
	long := func(text string) bool { return len(text) > longText }
	if len(members) > mostFewTexts || slices.ContainsFunc(members, long) {
		return nil
	}
	t := &fewTexts{slots: make([]textSlot, 1<<bits.Len(uint(4*len(members))))}
	for ; t.seed < seedsTried; t.seed++ {
		if t.fill(members) {
			return t
		}
	}
	return nil
}

// fill gives each member its slot; it reports false where two have the same.
func (t *fewTexts) fill(members []string) bool {
	clear(t.slots)
	for _, text := range members {
		first, last := textEnds(text)
		slot := t.slot(first, last, len(text))
		if slot.value > 0 {
			return false
		}
		*slot = textSlot{first, last, int32(len(text)), 1}
	}
	return true
}

func (t *fewTexts) slot(first, last uint64, n int) *textSlot {
	return &t.slots[textHash(first^t.seed, last, n)&uint64(len(t.slots)-1)]
}

func (t *fewTexts) has(text string) bool {
	first, last := textEnds(text)
	s := t.slot(first, last, len(text))
	return s.first == first && s.last == last && int(s.length) == len(text) && s.value > 0
}

// nets is a set of IP prefixes: those of IPv4 as ranges of numbers.
type nets struct {
	v4       [][2]uint32
	v6       []netip.Prefix
	prefixes []netip.Prefix
}

func newNets(prefixes []netip.Prefix) *nets {
	n := netsOf(prefixes, &slab[[2]uint32]{make([][2]uint32, len(prefixes))})
	return &n
}

// netsOf is newNets with ranges of a slab.
func netsOf(prefixes []netip.Prefix, ranges *slab[[2]uint32]) nets {
	n := nets{prefixes: prefixes, v4: ranges.cut(len(prefixes))[:0]}
	for _, prefix := range prefixes {
		if !prefix.Addr().Is4() {
			n.v6 = append(n.v6, prefix)
			continue
		}
		low, high := netBounds(prefix)
		n.v4 = append(n.v4, [2]uint32{uint32(low), uint32(high)})
	}
	return n
}

func (n *nets) has(address netip.Addr, ok bool) bool {
	switch {
	case !ok:
		return false
	case address.Is4():
		return n.has4(uint32(netNumber(address)))
	}
	return n.has6(address)
}

func (n *nets) has4(v uint32) bool {
	for i := range n.v4 {
		if low := n.v4[i][0]; v-low <= n.v4[i][1]-low {
			return true
		}
	}
	return false
}

func (n *nets) has6(address netip.Addr) bool {
	for _, prefix := range n.v6 {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// ordered tells whether a comparison is true of operands of this order.
func ordered(how uint8, order int) bool { return holds(check.Op(how), order) }

// compareFloat compares with a constant given by its bits.
func compareFloat(how uint8, v float64, bits int64) bool {
	return holds(check.Op(how), cmp.Compare(v, floatOf(bits)))
}
