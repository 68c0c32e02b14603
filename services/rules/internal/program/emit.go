package program

import "slices"

// settle gives derived values their slots, and numbers the outcomes of tests
// that are shared: the others take no memory. From then on code can be laid out.
func (b *Builder) settle(extra func() int) {
	b.slots = make([]int32, len(b.code.derived))
	for i := range b.code.derived {
		b.slots[i] = int32(extra())
		b.code.derived[i].slot = int(b.slots[i])
	}
	b.strings = make([]int32, len(b.texts))
	b.outcomes = make([]int32, len(b.uses))
	for i := range b.uses {
		if b.uses[i].tests > 1 {
			b.code.memos++
			b.outcomes[i] = int32(b.code.memos)
		}
	}
}

// settled is a slot, also of a derived value.
func (b *Builder) settled(slot int32) int32 {
	if slot < 0 {
		return b.slots[-1-slot]
	}
	return slot
}

// lay lays out the branches of all positions, without what facets spare.
func (b *Builder) lay(x *Index, places []int32) {
	left := max(len(b.code.tests)+b.parts.branches-b.spares, len(b.code.tests)) // a hint
	b.code.tests = append(make([]test, 0, left), b.code.tests...)
	b.code.nets = slices.Grow(b.code.nets, len(b.prefixes))
	for i := range b.positions {
		at := b.positions[i].part
		p, pc := &b.made[at], accept
		switch {
		case p.kind == partAnd:
			pc = b.emitAll(p.first, accept, reject)
		case !b.isSpared(at):
			pc = b.emit(at, accept, reject)
		}
		x.entries[places[i]].pc = pc
	}
}

// emit lays out the branches of a part that go on at yes or no, and returns
// where they begin.
func (b *Builder) emit(i, yes, no int32) int32 {
	p := &b.made[i]
	switch p.kind {
	case partTrue:
		return yes
	case partFalse:
		return no
	case partAnd:
		return b.emitAll(p.first, yes, no)
	case partOr:
		return b.emitSome(p.first, yes, no)
	default:
	}
	return b.emitTest(p, yes, no)
}

// emitAll is emit for a part of a conjunction and those behind it.
func (b *Builder) emitAll(i, yes, no int32) int32 {
	if i == 0 {
		return yes
	}
	if yes = b.emitAll(b.made[i].next, yes, no); b.isSpared(i) {
		return yes
	}
	return b.emit(i, yes, no)
}

// emitSome is emit for an alternative and those behind it.
func (b *Builder) emitSome(i, yes, no int32) int32 {
	if i == 0 {
		return no
	}
	return b.emit(i, yes, b.emitSome(b.made[i].next, yes, no))
}

func (b *Builder) emitTest(p *part, yes, no int32) int32 {
	ref := p.ref
	switch p.op {
	case opAny:
		ref = b.emit(p.first, accept, reject)
	case opTexts:
		set := textSet{members: b.sets[p.ref].members}
		set.index(&b.lookups)
		ref = int32(len(b.code.texts))
		b.code.texts = append(b.code.texts, set)
	case opNets:
		ref = int32(len(b.code.nets))
		b.code.nets = append(b.code.nets, netsOf(b.prefixes[p.ref], &b.ranges))
	case opMoney, opTextEq, opTextNe, opText, opPrefix, opSuffix, opContains:
		ref = b.stringOf(p.ref)
	default:
	}
	b.code.tests = append(b.code.tests, test{
		op: p.op, how: p.how, want: p.want, depth: p.depth, slot: b.settled(p.slot), yes: yes, no: no, ref: ref,
		memo: b.outcomes[p.memo], n: p.n,
	})
	at := int32(len(b.code.tests) - 1)
	if p.op == opIntIn {
		b.code.tests[at].setHigh(p.m)
	}
	if number := p.derived(); number > 0 {
		b.code.tests = append(b.code.tests, test{op: opDerive, ref: number - 1, yes: at, no: at})
		at++
	}
	return at
}

// isSpared reports whether facets say all there is to say about a part.
func (b *Builder) isSpared(i int32) bool { return b.without[i>>6]>>(i&63)&1 != 0 }

// stringOf numbers the texts of tests, without those that only facets need.
func (b *Builder) stringOf(text int32) int32 {
	if b.strings[text] == 0 {
		b.code.strings = append(b.code.strings, b.texts[text].text)
		b.strings[text] = int32(len(b.code.strings))
	}
	return b.strings[text] - 1
}

// exact notes that a facet says all there is to say about its asks.
func (b *Builder) exact(plan *facetPlan) {
	before := b.spares
	for i := range plan.asks {
		b.spared(&plan.asks[i])
	}
	if b.made[plan.part].derived() > 0 {
		b.spares += b.spares - before // what makes the value ready
	}
}

// spared notes that a facet says all there is to say about an ask.
func (b *Builder) spared(a *ask) {
	if a.spares == noPart {
		return
	}
	i := a.spares
	if i < noPart {
		body := &b.bodies[noPart-1-i]
		if body.exact--; body.exact > 0 {
			return
		}
		i = body.part
		b.spares += int(body.tests)
	}
	if bit := uint64(1) << (i & 63); b.without[i>>6]&bit == 0 {
		b.without[i>>6] |= bit
		b.spares++
	}
}
