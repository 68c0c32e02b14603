package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
)

// A ceiling is at least what some sums of the same two fields come to, which
// differ in their factors: `amount + fee * 2` and `amount + fee * 9`. Where
// that makes little difference, one facet looks at the ceiling and not many at
// a sum each. Where few numbers of the fields differ, a grid of them takes the
// ceiling's place. Neither spares tests.
type ceiling struct {
	of           facetKey // of one of the sums, without its slot
	sums         pair
	plans        []*facetPlan // of the sums
	plan         *facetPlan   // its own
	across, down axis         // of the grid
	grid         bool         // there is one
}

// nearly is how many times the difference that factors make fits into what is
// compared with, at least.
const nearly = 8

// raise moves asks for much of a sum to the ceilings of sums, and all asks to
// grids. It comes before the plans get their asks.
func (b *Builder) raise() {
	byPlan := make([]*ceiling, len(b.order))
	some := false
	for _, c := range b.ceilings() {
		if len(c.plans) < 2 {
			continue
		}
		some = true
		c.divide()
		for _, plan := range c.plans {
			byPlan[plan.number] = c
		}
	}
	if !some {
		return
	}
	for i := range b.asks {
		a := &b.asks[i]
		if c := byPlan[a.plan]; c != nil && (c.grid || b.asksMuch(a, &c.sums)) {
			b.lift(int32(i), c)
		}
	}
}

// ceilings are those of all sums that are looked at.
func (b *Builder) ceilings() []*ceiling {
	var all []*ceiling
next:
	for _, plan := range b.order {
		if plan.derived == 0 || plan.key.kind != byNumber {
			continue
		}
		sum := b.code.derived[plan.derived-1].pair
		if sum == nil {
			continue
		}
		key := plan.key
		key.slot = 0
		for _, c := range all {
			if c.of == key && c.sums.add(sum) {
				c.plans = append(c.plans, plan)
				continue next
			}
		}
		all = append(all, &ceiling{of: key, sums: *sum, plans: []*facetPlan{plan}})
	}
	return all
}

// asksMuch reports whether a test asks for so much of a sum that it matters
// little which one it is.
func (b *Builder) asksMuch(a *ask, sums *pair) bool {
	if a.low == minInt || a.high < maxInt {
		return false
	}
	spread := sums.spread()
	return b.all || spread > 0 && nearly*spread <= float64(a.low)
}

// lift moves an ask to a ceiling.
func (b *Builder) lift(number int32, c *ceiling) {
	a := &b.asks[number]
	old := b.order[a.plan]
	if c.plan == nil {
		c.plan = b.ceilingPlan(c)
		c.plan.part, c.plan.number, c.plan.last = old.part, int32(len(b.order)), -1
		b.order = append(b.order, c.plan)
	}
	if c.plan.last >= 0 && b.asks[c.plan.last].position == a.position {
		return // one is enough
	}
	old.count--
	c.plan.count++
	c.plan.last = number
	a.plan, a.spares = c.plan.number, noPart
}

func (b *Builder) ceilingPlan(c *ceiling) *facetPlan {
	if c.grid {
		return &facetPlan{key: facetKey{kind: byGrid, list: -1}, across: c.across, down: c.down}
	}
	sums, key := c.sums, c.of
	derived := b.parts.derivation(derivation{pair: &sums, make: sums.unbounded})
	key.slot = int32(b.code.derived[derived-1].slot)
	return &facetPlan{key: key, derived: derived}
}

// divide makes the axes of a grid, of whole numbers.
func (c *ceiling) divide() {
	if c.sums.money {
		return
	}
	var across, down bool
	c.across, across = newAxis(c.sums.a, c.sums.ofA)
	c.down, down = newAxis(c.sums.b, c.sums.ofB)
	c.grid = across && down
}

// add makes room in a ceiling for another sum. It reports false for a sum of
// other fields.
func (p *pair) add(sum *pair) bool {
	if p.a != sum.a || p.b != sum.b {
		return false
	}
	p.times, p.timesMost = min(p.times, sum.times), max(p.timesMost, sum.timesMost)
	p.more, p.moreMost = min(p.more, sum.more), max(p.moreMost, sum.moreMost)
	return true
}

// spread is how much the factors matter in the sample, at most; 0 where that is
// not known.
func (p *pair) spread() float64 {
	return float64(p.timesMost-p.times)*p.ofA.most() + float64(p.moreMost-p.more)*p.ofB.most()
}

// unbounded is a ceiling of sums that may not fit: any of them may be more than
// what it is compared with.
func (p *pair) unbounded(f *Frame) fact.Slot {
	x, y := &f.Record.Slots[p.a], &f.Record.Slots[p.b]
	if !x.OK || !y.OK || !f.sameCurrency(x.S, y.S) {
		return fact.Slot{}
	}
	return fact.Slot{N: maxInt, S: x.S, OK: true}
}
