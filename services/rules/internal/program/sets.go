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

// textSet is a set of strings: few in order, or many hashed.
type textSet struct {
	few  []string
	many map[string]struct{}
}

func newTextSet(members map[string]struct{}) textSet {
	if len(members) > smallSet {
		return textSet{many: members}
	}
	few := make([]string, 0, len(members))
	for v := range members {
		few = append(few, v)
	}
	slices.Sort(few)
	return textSet{few: few}
}

func (s *textSet) has(v string) bool {
	if s.many != nil {
		_, in := s.many[v]
		return in
	}
	return slices.Contains(s.few, v)
}

// nets is a set of IP prefixes.
type nets struct{ prefixes []netip.Prefix }

func (n *nets) has(address netip.Addr, ok bool) bool {
	if !ok {
		return false
	}
	for _, prefix := range n.prefixes {
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
