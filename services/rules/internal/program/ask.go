package program

import "slices"

// ask is what a position asks of a facet's value, with what the facet needs to
// know of the test. There are some ten thousands of them, looked at facet by facet:
// the tests themselves are not near then.
type ask struct {
	likely    float32
	position  int32
	plan      int32
	spares    int32 // the part that the facet may spare, see noPart
	ref       int32 // of a number, what derived returns; else as the test's
	op        opcode
	length    uint8 // of a text, or longText + 1 of a long one
	low, high int64 // of a number: what the test lets through, nothing if high is less; of a text: its ends; of opTexts: where its texts begin and end in members
}

// Flush lets the rules ask that came since the last one.
func (b *Builder) Flush() {
	for ; b.asked < len(b.positions); b.asked++ {
		b.lists = b.lists[:0]
		number, i := int32(b.asked), b.positions[b.asked].part
		if b.made[i].kind != partAnd {
			b.ask(i, number)
			continue
		}
		for at := b.made[i].first; at != 0; at = b.made[at].next {
			b.ask(at, number)
		}
	}
}

// ask lets a position ask for a part, which must hold whenever it does.
func (b *Builder) ask(i, number int32) {
	p := &b.made[i]
	if p.kind != partTest {
		return
	}
	a := ask{likely: float32(p.likely), position: number, spares: i, ref: p.ref, op: p.op}
	if p.shared {
		// The first rule with this test is not among the asks: no facet excludes it.
		b.join(b.outcomePlan(p, i), a)
	}
	if p.op == opAny {
		b.askElements(p, number)
		return
	}
	if p.op == opMatches && p.want && b.askEdges(i, a) {
		return
	}
	plan := b.parts.asked(p)
	if plan == nil {
		key, derived, ok := b.facetOf(p)
		if !ok {
			return
		}
		plan = b.plan(key, derived, i)
		b.parts.asks(p, plan)
	}
	b.detail(&a, &p.draft)
	b.join(plan, a)
}

// detail notes what a facet needs to know of a test.
func (b *Builder) detail(a *ask, t *draft) {
	switch t.op {
	case opInts:
		a.low = int64(t.derived())
	case opTexts:
		set := &b.sets[t.ref]
		a.low, a.high = int64(set.first), int64(set.first)+int64(len(set.members))
	case opMatches, opPresent:
	case opTextEq, opPrefix, opSuffix, opContains:
		text := &b.texts[t.ref]
		a.low, a.high, a.length = int64(text.first), int64(text.last), uint8(min(len(text.text), longText+1))
	case opNets:
		if prefixes := b.prefixes[t.ref]; len(prefixes) == 1 {
			a.op = opIntIn
			a.low, a.high = netBounds(prefixes[0])
		}
	default:
		a.ref = t.derived()
		a.low, a.high = t.wanted()
	}
}

// derived is 1 + the derived value of a number, 0: none.
func (a *ask) derived() int32 {
	if a.op == opInts {
		return int32(a.low)
	}
	return a.ref
}

// wanted is what a test of numbers lets through; nothing if high is less.
func (t *draft) wanted() (low, high int64) {
	bounded := draft{op: t.op, n: t.n, m: t.m}
	switch t.op {
	case opFlag, opIntEq:
		return t.n, t.n
	case opFloat:
		bounded.op, bounded.n = intOps[t.how], floatOrder(t.n)
	case opMoney:
		bounded.op = intOps[t.how]
	default:
	}
	if bounded.op == opIntEq {
		return bounded.n, bounded.n
	}
	low, high, ok := bounded.bounds()
	if !ok {
		return maxInt, minInt
	}
	return low, high
}

// join keeps of two asks of one position the one that excludes more.
func (b *Builder) join(plan *facetPlan, a ask) {
	a.plan = plan.number
	if plan.count > 0 && b.asks[plan.last].position == a.position {
		if a.likely < b.asks[plan.last].likely {
			b.asks[plan.last] = a
		}
		return
	}
	plan.count++
	plan.last = int32(len(b.asks))
	b.asks = append(b.asks, a)
}

// sortAsks gives the plans their asks.
func (b *Builder) sortAsks() {
	b.sorted = slices.Grow(b.sorted[:0], len(b.asks))
	all := b.sorted[:len(b.asks)]
	b.next = slices.Grow(b.next[:0], len(b.order))
	next, free := b.next[:len(b.order)], 0
	for i, plan := range b.order {
		next[i] = free
		plan.asks = all[free : free+plan.count : free+plan.count]
		free += plan.count
	}
	for i := range b.asks {
		a := &b.asks[i]
		all[next[a.plan]] = *a
		next[a.plan]++
	}
}

// askElements asks for what `any` needs of one element, and `all` of every.
func (b *Builder) askElements(p *part, number int32) {
	if p.depth > 0 {
		return
	}
	if p.want { // another element may satisfy a second any
		if slices.Contains(b.lists, p.slot) {
			return
		}
		b.lists = append(b.lists, p.slot)
	}
	first := p.first
	if b.made[first].kind == partAnd {
		first = b.made[first].first
	}
	rarest := first
	exact := int32(0) // facets must spare all of the body
	for i := first; ; i = b.made[i].next {
		exact++
		if b.made[i].likely < b.made[rarest].likely {
			rarest = i
		}
		if b.made[i].next == 0 {
			break
		}
	}
	body := &b.bodies[p.ref]
	body.tests, body.exact = exact, exact
	for i := first; i != 0; i = b.made[i].next {
		b.askElement(p, i, i == rarest, number)
	}
}

// askElement asks for a part of the body of an `any`, or `all`.
func (b *Builder) askElement(p *part, i int32, rarest bool, number int32) {
	q := &b.made[i]
	if q.kind != partTest || q.depth != uint8(p.n) || q.op == opAny {
		return
	}
	plan := b.parts.asked(q)
	if plan == nil {
		key, _, ok := b.facetOf(q)
		if !ok || key.kind == byOutcome {
			return
		}
		key.list, key.every = p.slot, !p.want
		plan = b.plan(key, 0, i)
		b.parts.asks(q, plan)
	}
	var likely float64
	switch {
	case !p.want:
		likely = everyLikely(q.likely, b.bodies[p.ref].each)
	case rarest:
		likely = someLikely(q.likely, b.bodies[p.ref].each)
	default: // of the elements that are left
		likely = min(0.9, 1.2*q.likely)
	}
	a := ask{likely: float32(clampLikely(likely)), position: number, spares: noPart - 1 - p.ref, ref: q.ref, op: q.op}
	b.detail(&a, &q.draft)
	b.join(plan, a)
}
