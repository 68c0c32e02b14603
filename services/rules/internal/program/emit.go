package program

// emit lays out the branches of a part that go on at yes or no, and returns
// where they begin.
func (b *Builder) emit(p *part, yes, no int32) int32 {
	switch p.kind {
	case partTrue:
		return yes
	case partFalse:
		return no
	case partAnd:
		for i := len(p.parts) - 1; i >= 0; i-- {
			yes = b.emit(p.parts[i], yes, no)
		}
		return yes
	case partOr:
		for i := len(p.parts) - 1; i >= 0; i-- {
			no = b.emit(p.parts[i], yes, no)
		}
		return no
	default:
	}
	if p.body != nil {
		p.test.ref = b.emit(p.body, accept, reject)
	}
	p.at = int32(len(b.code.tests))
	return b.emitTest(p.test, p.derived, yes, no)
}

func (b *Builder) emitTest(t test, derived, yes, no int32) int32 {
	t.yes, t.no = yes, no
	at := b.append(t)
	if derived > 0 {
		at = b.append(test{op: opDerive, ref: derived - 1, yes: at, no: at})
	}
	return at
}

func (b *Builder) append(t test) int32 {
	b.code.tests = append(b.code.tests, t)
	return int32(len(b.code.tests) - 1)
}

// finish gives derived values their slots and takes memory from tests that
// nobody shares.
func (b *Builder) finish(x *Index, extra func() int) {
	slots := make([]int32, len(b.code.derived))
	for i := range b.code.derived {
		slots[i] = int32(extra())
		b.code.derived[i].slot = int(slots[i])
	}
	for i := range x.facets {
		if slot := &x.facets[i].looks[0].slot; *slot < 0 {
			*slot = slots[-1-*slot]
		}
	}
	memos := make([]int32, len(b.parts.uses))
	for i, uses := range b.parts.uses {
		if uses > 1 {
			b.code.memos++
			memos[i] = int32(b.code.memos)
		}
	}
	lookups := &slab[textSlot]{}
	for i := range b.code.tests {
		t := &b.code.tests[i]
		t.memo = memos[t.memo]
		if t.slot < 0 {
			t.slot = slots[-1-t.slot]
		}
		if t.op == opTexts { // no facet spares it
			b.code.texts[t.ref].index(lookups)
		}
	}
}

// exact notes that a facet says all there is to say about its asks.
func (b *Builder) exact(plan *facetPlan) {
	for i := range plan.asks {
		b.spared(&plan.asks[i])
	}
}

// spared notes that a facet says all there is to say about an ask.
func (b *Builder) spared(a *ask) {
	if a.at == noTest {
		return
	}
	if t := &b.code.tests[a.at]; t.op == opAny && t.m > 1 {
		t.m--
		return
	}
	b.spare = append(b.spare, a.at)
}

// bypass takes the tests that facets spare out of all ways through the code.
func (b *Builder) bypass(x *Index) {
	tests := b.code.tests
	for _, at := range b.spare {
		b.drop(&tests[at])
	}
	skip := func(at int32) int32 {
		for at >= 0 {
			t := &tests[at]
			if t.op == opDerive {
				t = &tests[at-1] // what it is derived for
			}
			if t.op != opSpared {
				return at
			}
			at = t.yes
		}
		return at
	}
	for i := range tests {
		tests[i].yes, tests[i].no = skip(tests[i].yes), skip(tests[i].no)
	}
	for i := range x.entries {
		x.entries[i].pc = skip(x.entries[i].pc)
	}
}

// drop makes a test that is spared hold nothing that others would have to keep.
func (b *Builder) drop(t *test) {
	if t.op == opTexts {
		b.code.texts[t.ref] = textSet{}
	}
	t.op, t.text = opSpared, ""
}
