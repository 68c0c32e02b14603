package program

import (
	"cmp"
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
	members []string
	lookup  textMap
}

// newTextSet takes members in order, each once.
func newTextSet(members []string) textSet {
	s := textSet{members: members}
	s.lookup.reserve(len(members))
	for i, v := range s.members {
		s.lookup.put(v, int32(i+1))
	}
	return s
}

func (s *textSet) has(v string) bool { return s.lookup.get(v) > 0 }

// nets is a set of IP prefixes: those of IPv4 as ranges of numbers.
type nets struct {
	v4       [][2]uint32
	v6       []netip.Prefix
	prefixes []netip.Prefix
}

func newNets(prefixes []netip.Prefix) *nets {
	n := &nets{prefixes: prefixes}
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
	if !ok {
		return false
	}
	if address.Is4() {
		v := uint32(netNumber(address))
		for i := range n.v4 {
			if n.v4[i][0] <= v && v <= n.v4[i][1] {
				return true
			}
		}
		return false
	}
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
