package program

import "github.com/backlot-video/backlot/services/rules/fact"

// grid masks two whole numbers of which few differ, for sums of them such as
// `refunds * 2 + failed > 20` and `refunds * 5 + failed > 60`: each cell has the
// positions whose sum two numbers in it may satisfy. The outermost columns and
// rows are for what is beyond the usual numbers.
type grid struct {
	a, b  axis
	words int      // of a mask
	masks []uint64 // of the cells, column by column
	all   []uint64 // for numbers that are not small
}

// axis divides the small numbers of a field.
type axis struct {
	slot   int
	origin int64 // of the first cell
	width  uint8 // of a cell, as a power of two
	cells  int
}

// mostAcross is how many numbers an axis is made for, at most.
const mostAcross = 64

// newAxis divides the numbers that a field usually has, with a cell more on
// either side. ok is false where that takes many cells.
func newAxis(slot int, of *column) (x axis, ok bool) {
	low, high, ok := of.usual()
	if !ok || !small(low, high) || high-low >= mostAcross {
		return x, false
	}
	return axis{slot: slot, origin: low - 1, cells: int(high-low) + 3}, true
}

// widen makes half as many cells, about, of twice the width.
func (x *axis) widen() {
	usual := (x.cells - 2) << x.width
	first := x.origin + 1<<x.width
	x.width++
	x.origin = first - 1<<x.width
	x.cells = (usual+1<<x.width-1)>>x.width + 2
}

// of is the cell of a small number.
func (x *axis) of(v int64) int {
	return min(max(int((v-x.origin)>>(x.width&63)), 0), x.cells-1)
}

// span is the small numbers of a cell.
func (x *axis) span(cell int) (low, high int64) {
	low = x.origin + int64(cell)<<x.width
	high = low + 1<<x.width - 1
	if cell == 0 {
		low = -smallNumber
	}
	if cell == x.cells-1 {
		high = smallNumber
	}
	return low, high
}

// of is the mask of two numbers, base where one is missing.
func (g *grid) of(slots []fact.Slot, base []uint64) []uint64 {
	x, y := &slots[g.a.slot], &slots[g.b.slot]
	switch {
	case !x.OK || !y.OK:
		return base
	case !small(x.N, y.N):
		return g.all
	}
	at := (g.a.of(x.N)*g.b.cells + g.b.of(y.N)) * g.words
	return g.masks[at : at+g.words]
}

func (g *grid) mask(f *Frame, _ *Index, _ *fact.Slot, base, _ []uint64) []uint64 {
	return g.of(f.Record.Slots, base)
}

// newGrid makes the cells of a plan's sums, as many as cells may have.
func (b *Builder) newGrid(x *Index, plan *facetPlan, places []int32, base []uint64, words *slab[uint64]) *grid {
	g := &grid{a: plan.across, b: plan.down, words: x.words, all: x.all}
	for most := mostCells(x.words); g.a.cells*g.b.cells > most; {
		if g.a.cells > g.b.cells {
			g.a.widen()
		} else {
			g.b.widen()
		}
	}
	g.masks = words.cut(g.a.cells * g.b.cells * g.words)
	for i := 0; i < len(g.masks); i += g.words {
		copy(g.masks[i:], base)
	}
	spans := b.spanned[:0]
	for i := range plan.asks {
		a := &plan.asks[i]
		spans = b.spans(spans[:0], a, places[a.position])
		g.add(b.code.derived[a.derived()-1].pair, spans)
	}
	b.spanned = spans
	return g
}

// add adds a position to the cells where a sum may be in one of its spans.
func (g *grid) add(sum *pair, spans []span) {
	var rows [mostAcross + 2]span
	for j := range rows[:g.b.cells] {
		low, high := g.b.span(j)
		rows[j] = span{low: min(low*sum.more, high*sum.more), high: max(low*sum.more, high*sum.more)}
	}
	for i := range g.a.cells {
		low, high := g.a.span(i)
		low, high = min(low*sum.times, high*sum.times), max(low*sum.times, high*sum.times)
		masks := g.masks[i*g.b.cells*g.words:]
		for _, s := range spans {
			word, bit := int(s.position>>6), uint64(1)<<(s.position&63)
			for j := range rows[:g.b.cells] {
				if low+rows[j].low <= s.high && s.low <= high+rows[j].high {
					masks[j*g.words+word] |= bit
				}
			}
		}
	}
}
