package program

import (
	"slices"
	"sync"
)

// scratch is what an index is built with and does not keep. It goes from one
// builder of many rules to the next, so that a set which is loaded again and
// again leaves less to the garbage collector. It has no pointers to what was
// built with it.
type scratch struct {
	positions []position
	asks      []ask // as they came
	sorted    []ask // by facet
	filed     []filed
	spare     []int32 // tests that facets spare
	spanned   []span
	ends      sorter // of cells
	memos     keyTable
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// leastScratch is from how many rules on scratches are taken from others: to
// clean one takes longer than to make a small one.
const leastScratch = 1000

// newScratch returns an empty one for about so many rules.
func newScratch(rules int) *scratch {
	s := &scratch{}
	if rules >= leastScratch {
		s = scratches.Get().(*scratch)
	}
	s.positions = slices.Grow(s.positions[:0], rules)
	s.asks = slices.Grow(s.asks[:0], asksPerRule*rules)
	s.memos.reset(rules / 2)
	return s
}

// release leaves the scratch to another builder.
func (b *Builder) release() {
	if cap(b.positions) >= leastScratch {
		scratches.Put(b.scratch)
	}
	b.scratch, b.parts, b.order = nil, nil, nil // whose asks are in it
}
