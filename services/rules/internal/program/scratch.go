package program

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// scratch is what an index is built with and does not keep. It goes from one
// builder of many rules to the next, so that a set which is loaded again and
// again leaves less to the garbage collector. While it waits it has no pointers to
// what was built with it.
type scratch struct {
	made      []part   // those that need no fact first
	chained   []ranked // a chain that is put in order
	positions []position
	asks      []ask // as they came
	sorted    []ask // by facet
	next      []int // where in sorted a facet has its next one
	filed     []filed
	spanned   []span
	ends      sorter   // of cells
	places    []int32  // of positions
	without   []uint64 // a bit for each part of which facets say all there is to say
	memos     keyTable
	uses      []use     // by memo
	matches   []matched // by regex
	bodies    []body    // of opAny
	keys      textMap   // of the facet at hand
	facets    planTable
	sets      []memberSet      // of opTexts; empty while the scratch waits
	prefixes  [][]netip.Prefix // of opNets; empty while the scratch waits
	texts     []endedText      // of drafts, from 1, each once; empty while the scratch waits
	numbers   textMap          // of texts
	members   []endedText      // of sets; empty while the scratch waits
}

// spare is what the last builder left, if nobody has it. A sync.Pool would lose
// it half the time, and with it what a load takes of memory.
var spare atomic.Pointer[scratch]

const (
	// leastScratch is from how many rules on a scratch is taken from another
	// builder: to clean one takes longer than to make a small one.
	leastScratch = 1000
	// mostScratch is how many parts one has that waits, and texts, at most: some
	// 20 MB.
	mostScratch = 1 << 17
)

// newScratch returns an empty one for about so many tests and rules.
func newScratch(tests, rules int) *scratch {
	var s *scratch
	if rules >= leastScratch {
		s = spare.Swap(nil)
	}
	if s == nil {
		s = &scratch{}
	}
	s.made = append(slices.Grow(s.made[:0], tests+tests/2), part{kind: partTrue}, part{kind: partFalse})
	s.positions = slices.Grow(s.positions[:0], rules)
	s.asks = slices.Grow(s.asks[:0], asksPerRule*rules)
	s.memos.reset(rules / 2)
	s.uses, s.matches, s.bodies = append(s.uses[:0], use{}), s.matches[:0], s.bodies[:0]
	s.sets, s.prefixes = s.sets[:0], s.prefixes[:0]
	s.facets.reset()
	s.texts, s.members = append(s.texts[:0], endedText{}), s.members[:0]
	return s
}

// zeroed returns n zeros, in the memory of a slice where it has room for them.
func zeroed(s []uint64, n int) []uint64 {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// release leaves the scratch to another builder.
func (b *Builder) release() {
	if cap(b.positions) >= leastScratch && max(cap(b.made), cap(b.texts), cap(b.members), len(b.keys.slots)/2, len(b.numbers.slots)/2) <= mostScratch {
		clear(b.texts)
		clear(b.members)
		b.numbers.reset()
		clear(b.sets)
		clear(b.prefixes)
		b.keys.reset()
		spare.Store(b.scratch)
	}
	b.scratch, b.parts, b.order = nil, nil, nil // whose asks are in it
}
