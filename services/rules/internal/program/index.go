package program

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// Index finds the rules that a fact can fire. Each way in which a rule can
// hold (one, or each of its alternatives) has a position. A facet looks at one
// value and gives a mask: the positions that the value does not exclude. What
// is in all masks is then run in full, so a mask may hold too much but never
// too little.
//
// It is immutable once built and safe for concurrent use.
type Index struct {
	code    *Code
	facets  []facet
	derived []int32      // values that facets look at, by number
	counts  []numberLook // facets by their forms
	numbers []numberLook
	grids   []gridLook
	texts   []textLook
	others  []int32 // in facets
	words   int     // of a mask
	unions  int     // how many masks facets put together
	entries []entry // by position, those of a rule side by side
	all     []uint64
	pool    *sync.Pool // of *work
}

// entry is where a position's branches begin, and its rule.
type entry struct{ pc, rule int32 }

// facet is one value of the fact, or the values of each element of a list, and
// what rules ask of them.
type facet struct {
	derived int32 // 1 + the number of the derived value, 0: none
	list    int32 // slot of the list whose elements are looked at, -1: none
	every   bool  // all elements must satisfy, not just one
	base    []uint64
	looks   []look // one, but for elements
	union   int32  // which mask of a work is its own

	form           form // and what it needs
	slot, number   int32
	cells          *cells
	keyed          *keyed
	grid           *grid
	texts, numbers []uint64    // bases of formPairs
	beside         *numberLook // of formPairs: what all elements must satisfy of the same number; nil: nothing
	both           bool        // of formPairs: positions ask for both or none, and no number of the first cell will do
}

// look is one value of a facet. base has the positions that ask nothing of it.
type look struct {
	slot int32
	base []uint64
	masker
}

// masker turns a value into a mask; with several hits it fills union.
type masker interface {
	mask(f *Frame, x *Index, s *fact.Slot, base, union []uint64) []uint64
}

// Fire runs the rules on a decoded fact and returns the numbers of those that
// fire, ascending. The result is valid until the frame is used again.
func (x *Index) Fire(f *Frame) []int32 {
	f.begin(x)
	hits := f.hits[:0]
	last := int32(-1)
	x.candidates(f)
	for _, e := range x.entriesOf(f) {
		if e.rule != last && (e.pc == accept || x.code.run(f, e.pc)) {
			hits, last = append(hits, e.rule), e.rule
		}
	}
	f.hits = hits
	return hits
}

// entriesOf lists the entries of the candidates. It touches their code, so that
// what is not near is fetched all at once and not one by one when it is run.
func (x *Index) entriesOf(f *Frame) []entry {
	next, touched := f.next[:0], int32(0)
	for block, held := range f.sieve.held {
		for ; held != 0; held &= held - 1 {
			i := block*blockWords + bits.TrailingZeros16(held)
			for word := f.sieve.left[i]; word != 0; word &= word - 1 {
				e := x.entries[i<<6+bits.TrailingZeros64(word)]
				next = append(next, e)
				if e.pc >= 0 {
					touched += x.code.tests[e.pc].slot
				}
			}
		}
	}
	f.next, f.touched = next, touched
	return next
}

// Without returns an index in which some rules, by number, never fire. It
// shares the rest with x.
func (x *Index) Without(rules []int32) *Index {
	less := *x
	less.all = slices.Clone(x.all)
	for _, rule := range rules {
		at, _ := slices.BinarySearchFunc(x.entries, rule, func(e entry, rule int32) int { return int(e.rule - rule) })
		for ; at < len(x.entries) && x.entries[at].rule == rule; at++ {
			less.all[at>>6] &^= 1 << (at & 63)
		}
	}
	return &less
}

// look is the facet's mask for the fact in the frame.
func (a *facet) look(f *Frame, x *Index, union []uint64) []uint64 {
	if a.list < 0 {
		l := &a.looks[0]
		return l.mask(f, x, &f.Record.Slots[l.slot], l.base, union)
	}
	elements := &f.Record.Slots[a.list]
	if !elements.OK || elements.N == 0 {
		return a.base
	}
	return a.lookAll(f, x, elements.First(), union)
}

// sift leaves what every element satisfies.
func (a *facet) sift(f *Frame, x *Index, s *sieve) {
	elements := &f.Record.Slots[a.list]
	if !elements.OK {
		s.add(&a.base[0])
		return
	}
	first := elements.First()
	for i := range a.looks {
		l := &a.looks[i]
		if c, ok := l.masker.(*cells); ok && c.single {
			c.siftRange(f, first, l, s)
			continue
		}
		for at := first; at != 0; at = int(f.Record.Slots[at].N) {
			m := l.mask(f, x, &f.Record.Slots[at+1+int(l.slot)], l.base, f.inner)
			if &m[0] == &f.inner[0] {
				s.keep(m)
			} else {
				s.add(&m[0])
			}
		}
	}
}

// siftRange is sift for numbers of which each position asks for one span: all
// elements are in it when the least and the greatest are.
func (c *cells) siftRange(f *Frame, first int, l *look, s *sieve) {
	all, slots := newReach(), f.Record.Slots
	for at := first; at != 0; at = int(slots[at].N) {
		all.add(c.value(f, &slots[at+1+int(l.slot)]))
	}
	c.siftReach(&all, l.base, s)
}

// reach is how far some numbers go, if all are known.
type reach struct {
	least, greatest int64
	known           bool
}

func newReach() reach { return reach{maxInt, minInt, true} }

func (r *reach) add(v int64, ok bool) {
	r.known = r.known && ok
	r.least, r.greatest = min(r.least, v), max(r.greatest, v)
}

// siftReach leaves what all numbers satisfy; of none they are all.
func (c *cells) siftReach(r *reach, base []uint64, s *sieve) {
	switch {
	case !r.known:
		s.add(&base[0])
		return
	case r.least > r.greatest:
		return
	}
	if c.above || !c.below { // one mask at least: some positions may ask for no number at all
		s.add(c.of(r.least))
	}
	if c.below {
		s.add(c.of(r.greatest))
	}
}

// lookAll joins what single elements satisfy.
func (a *facet) lookAll(f *Frame, x *Index, first int, joined []uint64) []uint64 {
	copy(joined, a.base)
	slots := f.Record.Slots
	for at := first; at != 0; at = int(slots[at].N) {
		l := &a.looks[0]
		m := l.mask(f, x, &slots[at+1+int(l.slot)], l.base, f.inner)
		if len(a.looks) == 1 {
			join(joined, m)
			continue
		}
		others := a.looks[1:]
		if len(others) > 1 {
			if &m[0] != &f.inner[0] {
				copy(f.inner, m)
				m = f.inner
			}
			for i := range others[1:] {
				l = &others[1+i]
				keep(m, l.mask(f, x, &slots[at+1+int(l.slot)], l.base, f.element), f.sieve.held)
			}
		}
		l = &others[0]
		joinBoth(joined, m, l.mask(f, x, &slots[at+1+int(l.slot)], l.base, f.element))
	}
	return joined
}
