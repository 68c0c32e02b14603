package program

import (
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
	filed     []filed
	spanned   []span
	ends      sorter // of cells
	memos     keyTable
	texts     []endedText // of drafts, from 1; empty while the scratch waits
}

// spare is what the last builder left, if nobody has it. A sync.Pool would lose
// it half the time, and with it what a load takes of memory.
var spare atomic.Pointer[scratch]

const (
	// leastScratch is from how many rules on a scratch is taken from another
	// builder: to clean one takes longer than to make a small one.
	leastScratch = 1000
	// mostScratch is how many parts one has that waits, at most: some 10 MB.
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
	s.texts = append(slices.Grow(s.texts[:0], rules), endedText{})
	return s
}

// release leaves the scratch to another builder.
func (b *Builder) release() {
	if cap(b.positions) >= leastScratch && cap(b.made) <= mostScratch {
		clear(b.texts)
		spare.Store(b.scratch)
	}
	b.scratch, b.parts, b.order = nil, nil, nil // whose asks are in it
}
