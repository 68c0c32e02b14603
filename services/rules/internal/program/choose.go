package program

import "slices"

// chosen are the facets that spare more than they cost, best first.
func (b *Builder) chosen(words int) []*facetPlan {
	if b.all {
		return b.order
	}
	if len(b.positions) <= maxAlternatives {
		return nil // running all of them is faster
	}
	for _, plan := range b.order {
		plan.gain = b.gain(plan)
	}
	slices.SortStableFunc(b.order, func(p, q *facetPlan) int { return byRatio(q.gain, p.gain) })
	var kept []*facetPlan
	lists := map[[2]int32]int{} // how many facets look at the elements already
	for _, plan := range b.order {
		if b.gain(plan) >= plan.price(words, lists[plan.elements()] > 0) {
			kept = append(kept, plan)
			lists[plan.elements()]++
			b.choose(plan)
		}
	}
	// What was best when nothing else was chosen may since do little.
	return slices.DeleteFunc(kept, func(plan *facetPlan) bool {
		b.leave(plan)
		idle := b.gain(plan) < plan.price(words, lists[plan.elements()] > 1)
		if idle {
			lists[plan.elements()]--
		}
		if !idle {
			b.choose(plan)
		}
		return idle
	})
}

// gain is what a facet spares beside those chosen, in about nanoseconds.
func (b *Builder) gain(plan *facetPlan) float64 {
	total := 0.0
	for i := range plan.asks {
		a := &plan.asks[i]
		p := &b.positions[a.position]
		total += p.left * (1 - float64(a.likely)) * (runCost + p.cost)
	}
	return total
}

func (b *Builder) choose(plan *facetPlan) {
	for i := range plan.asks {
		b.positions[plan.asks[i].position].left *= float64(plan.asks[i].likely)
	}
}

func (b *Builder) leave(plan *facetPlan) {
	for i := range plan.asks {
		b.positions[plan.asks[i].position].left /= float64(plan.asks[i].likely)
	}
}

// noPart marks an ask whose facet spares no test: of opMatches, what texts begin
// or end with, or have in them. Less than that is what asks for a part of a
// body: noPart - 1 for body 0.
const noPart int32 = -1

// runCost is what running a position takes beside its tests, in about
// nanoseconds: its code is rarely near.
const runCost = 25

// facetCosts are about nanoseconds.
var facetCosts = [...]float64{byNumber: 15, byText: 20, byPrefix: 15, bySuffix: 20, byFragment: 50, byOutcome: 30, byGrid: 10, byCloser: 15}

// elements names the elements that a facet looks at, and how.
func (p *facetPlan) elements() [2]int32 {
	if p.key.every {
		return [2]int32{p.key.list, 1}
	}
	return [2]int32{p.key.list, 0}
}

// price is what looking at a facet takes, in about nanoseconds. beside is
// whether another one looks at the same elements.
func (p *facetPlan) price(words int, beside bool) float64 {
	price, masks := facetCosts[p.key.kind], maskCost*float64(words)
	if p.derived > 0 {
		price += 10
	}
	switch {
	case p.key.list < 0:
		return price + masks
	case p.key.every:
		return 2*price + masks // of the least and the greatest, mostly
	case beside:
		return 4*price + masks
	}
	return assumedElements / 4 * (price + masks)
}

// maskCost is what intersecting a word of a mask takes, in about nanoseconds.
const maskCost = 0.5

// addFacet adds what is looked at. Elements of a list are looked at by one
// facet, so that what a rule asks of one element is asked of the same one.
func (b *Builder) addFacet(x *Index, plan *facetPlan, l look) {
	for i := range x.facets {
		if f := &x.facets[i]; f.list >= 0 && f.list == plan.key.list && f.every == plan.key.every {
			f.looks = append(f.looks, l)
			return
		}
	}
	x.facets = append(x.facets, facet{derived: plan.derived, list: plan.key.list, every: plan.key.every, looks: []look{l}})
}

// settle finds the positions that ask nothing of any of the facet's values.
func (a *facet) settle(words *slab[uint64]) {
	a.base = a.looks[0].base
	if len(a.looks) == 1 {
		return
	}
	a.base = words.cut(len(a.base))
	copy(a.base, a.looks[0].base)
	for _, l := range a.looks[1:] {
		for w := range a.base {
			a.base[w] &= l.base[w]
		}
	}
}

// look makes what a plan says.
func (b *Builder) look(x *Index, plan *facetPlan, places []int32, words *slab[uint64]) look {
	key := plan.key
	made := look{slot: b.settled(key.slot), base: words.cut(x.words)}
	copy(made.base, x.all)
	for i := range plan.asks {
		place := places[plan.asks[i].position]
		made.base[place>>6] &^= 1 << (place & 63)
	}
	switch key.kind {
	case byNumber:
		spans := b.spanned[:0]
		for i := range plan.asks {
			a := &plan.asks[i]
			spans = b.spans(spans, a, places[a.position])
		}
		b.spanned = spans
		c, exact := newCells(spans, made.base, words, &b.ends)
		if exact {
			b.exact(plan)
		}
		op := b.made[plan.part].op
		c.float, c.money, c.unit = op == opFloat, op == opMoney, key.currency
		made.masker = c
	case byFragment:
		made.masker = b.newFragments(plan, places)
	case byOutcome:
		d := &decider{pc: b.emit(plan.part, accept, reject), yes: words.cut(x.words)}
		copy(d.yes, x.all)
		made.masker = d
		b.exact(plan)
	case byGrid:
		made.masker = b.newGrid(x, plan, places, made.base, words)
	case byCloser:
		made.masker = b.newClosed(plan, places, made.base, words)
	case byText:
		made.masker = b.newKeyed(plan, places, made.base, words)
	default:
		made.masker = b.newAffixed(plan, places, made.base, words)
	}
	return made
}

func (b *Builder) newFragments(plan *facetPlan, places []int32) *fragments {
	g := &fragments{}
	for i := range plan.asks {
		a := &plan.asks[i]
		place := places[a.position]
		if a.op != opMatches {
			g.add(b.texts[a.ref].text, place)
			continue
		}
		regex := b.code.regexes[a.ref]
		if a.spares != noPart {
			g.add(regex.Literal(), place)
			continue
		}
		for _, piece := range regex.Pieces() {
			g.add(piece, place)
		}
	}
	g.texts = textMap{}
	return g
}

func (b *Builder) newClosed(plan *facetPlan, places []int32, base []uint64, words *slab[uint64]) *closed {
	c := &closed{closer: plan.key.closer, keySets: keySets{filed: slices.Grow(b.filed[:0], len(plan.asks))}}
	for i := range plan.asks {
		a := &plan.asks[i]
		_, near, _ := b.code.regexes[a.ref].Closer()
		for _, n := range near {
			c.add(n, places[a.position])
		}
	}
	b.filed = c.seal(base, words)
	return c
}

// touch has the members of sets fetched all at once, and not one by one when they
// are filed.
func (b *Builder) touch(asks []ask) {
	touched := uint64(0)
	for i := range asks {
		if a := &asks[i]; a.op == opTexts && a.low < a.high {
			touched += b.members[a.low].first + b.members[a.high-1].first
		}
	}
	b.touched = touched
}

// keyOf is the text that a test asks for, as a key; only of a long one the text
// itself is told.
func (b *Builder) keyOf(a *ask) (key textSlot, long string) {
	if a.length > longText {
		text := &b.texts[a.ref]
		return text.key(), text.text
	}
	return textSlot{first: uint64(a.low), last: uint64(a.high), length: int32(a.length)}, ""
}

func (b *Builder) newKeyed(plan *facetPlan, places []int32, base []uint64, words *slab[uint64]) *keyed {
	b.touch(plan.asks)
	b.keys.reset()
	k := &keyed{keySets: keySets{filed: slices.Grow(b.filed[:0], len(plan.asks))}}
	for i := range plan.asks {
		a := &plan.asks[i]
		place := places[a.position]
		if a.op != opTexts {
			key, long := b.keyOf(a)
			k.file(&b.keys, key, long, place)
			continue
		}
		members := b.members[a.low:a.high]
		for j := range members {
			member := &members[j]
			k.file(&b.keys, member.key(), member.text, place)
		}
	}
	b.exact(plan)
	k.keys = b.keys.fitted()
	b.filed = k.seal(base, words)
	return k
}

func (b *Builder) newAffixed(plan *facetPlan, places []int32, base []uint64, words *slab[uint64]) *affixed {
	b.keys.reset()
	k := &affixed{suffix: plan.key.kind == bySuffix, keys: b.keys, keySets: keySets{filed: slices.Grow(b.filed[:0], len(plan.asks))}}
	for i := range plan.asks {
		a := &plan.asks[i]
		if a.spares != noPart {
			key, long := b.keyOf(a)
			if k.file(&k.keys, key, long, places[a.position]) {
				k.texts = append(k.texts, b.texts[a.ref].text)
			}
			b.spared(a)
			continue
		}
		regex := b.code.regexes[a.ref]
		texts := regex.Heads()
		if k.suffix {
			texts = regex.Tails()
		}
		for _, edge := range texts {
			k.add(edge, places[a.position])
		}
	}
	b.keys = k.keys
	b.filed = k.seal(base, words)
	return k
}
