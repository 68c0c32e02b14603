package program

import (
	"math"
	"net/netip"
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

const (
	minInt, maxInt = math.MinInt64, math.MaxInt64

	maxAlternatives = 8  // of a rule that get positions of their own
	leastCells      = 64 // of a number, when there are many rules
	cellWords       = 1 << 14
	maxKeyMasks     = 128 // keys of a text that have masks of their own
)

// Builder makes the index of a set, rule by rule.
type Builder struct {
	code      *Code
	parts     *parts
	positions []position
	facets    map[[2]uint64]*facetPlan
	units     []string        // currencies of facets
	order     []*facetPlan    // of facets, as they were met
	lists     []int32         // of the any that the current position has asked
	needs     map[int32]int32 // by test: how many facets must be exact to spare it, where that is not one
	spanned   []span
	all       bool // every facet is worth its price: for tests
}

// position is one way in which a rule can hold.
type position struct {
	entry
	left float64 // the share of facts that the facets chosen so far let through
	cost float64
}

// facetKind tells the facets of one value apart.
type facetKind uint8

const (
	byNumber facetKind = iota
	byText
	byPrefix
	bySuffix
	byFragment
	byOutcome
)

// facetKey names what a facet looks at.
type facetKey struct {
	kind     facetKind
	list     int32 // -1: the fact
	slot     int32
	outcome  int32  // of byOutcome: where the test is remembered, -1: nowhere
	every    bool   // of the elements: all must satisfy, not just one
	currency string // of money
}

// facetPlan is a facet on its way.
type facetPlan struct {
	key     facetKey
	derived int32
	asks    []ask
}

// ask is what a position asks of a facet's value.
type ask struct {
	test     test
	literal  string   // of opMatches
	edges    []string // of opMatches: what a text begins or ends with
	likely   float64
	position int32
	at       int32 // where in the code the test is that the facet may spare
}

// span is the numbers from low to high that a position asks for.
type span struct {
	low, high int64
	position  int32
}

// NewBuilder returns a builder without rules. sample may be nil; tests is about
// how many branches the rules will need.
func NewBuilder(sample *Sample, tests int) *Builder {
	code := &Code{tests: make([]test, 0, tests)}
	return &Builder{code: code, parts: newParts(code, sample), facets: map[[2]uint64]*facetPlan{}, needs: map[int32]int32{}}
}

// Add adds a rule. Nothing of when is used afterwards.
func (b *Builder) Add(rule int, when *check.Node) {
	p := b.parts.of(when, false)
	switch {
	case p.kind == partFalse:
	case p.kind == partOr && len(p.parts) <= maxAlternatives:
		for _, q := range p.parts {
			b.position(rule, q)
		}
	default:
		b.position(rule, p)
	}
	b.parts.made.Reset()
	b.parts.chains.Reset()
}

func (b *Builder) position(rule int, p *part) {
	number := int32(len(b.positions))
	b.lists = b.lists[:0]
	b.positions = append(b.positions, position{entry{b.emit(p, accept, reject), int32(rule)}, 1, p.cost})
	if p.kind != partAnd {
		b.ask(p, number)
		return
	}
	for _, q := range p.parts {
		b.ask(q, number)
	}
}

// ask lets a position ask for a part, which must hold whenever it does.
func (b *Builder) ask(p *part, number int32) {
	if p.kind != partTest {
		return
	}
	if memo := p.test.memo; memo > 0 && b.parts.uses[memo] > 1 {
		// The first rule with this test is not among the asks: no facet excludes it.
		b.add(facetKey{kind: byOutcome, list: -1, outcome: memo}, p.derived, ask{p.test, p.literal, nil, p.likely, number, p.at})
	}
	if p.test.op == opAny {
		b.askElements(p, number)
		return
	}
	if p.test.op == opMatches && p.test.want {
		b.askEdges(p, number)
	}
	key, derived, ok := b.facetOf(p)
	if !ok {
		return
	}
	b.add(key, derived, ask{p.test, p.literal, nil, p.likely, number, p.at})
}

// pack makes a key that is quickly hashed.
func (b *Builder) pack(key facetKey) [2]uint64 {
	unit := 0
	if key.currency != "" {
		if unit = slices.Index(b.units, key.currency) + 1; unit == 0 {
			b.units = append(b.units, key.currency)
			unit = len(b.units)
		}
	}
	every := uint64(0)
	if key.every {
		every = 1
	}
	return [2]uint64{uint64(uint32(key.list))<<32 | uint64(uint32(key.slot)), uint64(uint32(key.outcome))<<32 | uint64(unit)<<8 | uint64(key.kind)<<1 | every}
}

// askEdges asks for what texts that match a pattern begin and end with.
func (b *Builder) askEdges(p *part, number int32) {
	regex := b.code.regexes[p.test.ref]
	for _, edge := range [...]struct {
		kind  facetKind
		texts []string
	}{{byPrefix, regex.Heads()}, {bySuffix, regex.Tails()}} {
		if len(edge.texts) > 0 {
			key := facetKey{kind: edge.kind, list: -1, slot: p.test.slot, outcome: -1}
			likely := clampLikely(guesses[opPrefix] * 2 * float64(len(edge.texts)))
			b.add(key, p.derived, ask{p.test, "", edge.texts, likely, number, noTest})
		}
	}
}

// add keeps of two asks of one position the one that excludes more.
func (b *Builder) add(key facetKey, derived int32, a ask) {
	packed := b.pack(key)
	plan := b.facets[packed]
	if plan == nil {
		plan = &facetPlan{key: key, derived: derived}
		b.facets[packed] = plan
		b.order = append(b.order, plan)
	}
	if n := len(plan.asks); n > 0 && plan.asks[n-1].position == a.position {
		if a.likely < plan.asks[n-1].likely {
			plan.asks[n-1] = a
		}
		return
	}
	plan.asks = append(plan.asks, a)
}

// askElements asks for what `any` needs of one element, and `all` of every.
func (b *Builder) askElements(p *part, number int32) {
	if p.test.depth > 0 {
		return
	}
	if p.test.want { // another element may satisfy a second any
		if slices.Contains(b.lists, p.test.slot) {
			return
		}
		b.lists = append(b.lists, p.test.slot)
	}
	inner := []*part{p.body}
	if p.body.kind == partAnd {
		inner = p.body.parts
	}
	b.needs[p.at] = int32(len(inner)) // facets must spare all of the body
	for _, q := range inner {
		if q.kind != partTest || q.test.depth != uint8(p.test.n) || q.test.op == opAny {
			continue
		}
		key, _, ok := b.facetOf(q)
		if !ok || key.kind == byOutcome {
			continue
		}
		key.list, key.every = p.test.slot, !p.test.want
		likely := min(0.9, assumedQuick*q.likely)
		if len(inner) > 1 {
			likely = min(0.9, 1.5*q.likely) // of the element that the others hold for
		}
		if key.every {
			likely = q.likely * q.likely
		}
		b.add(key, 0, ask{q.test, q.literal, nil, clampLikely(likely), number, p.at})
	}
}

// facetOf tells which facet a test asks.
func (b *Builder) facetOf(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.test
	key = facetKey{list: -1, slot: t.slot, outcome: -1}
	switch t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn:
		return key, p.derived, true
	case opInts:
		return key, p.derived, t.want
	case opFloat:
		return key, p.derived, check.Op(t.how) != check.Ne
	case opMoney:
		key.currency = t.text
		return key, p.derived, check.Op(t.how) != check.Ne
	case opTextEq:
		key.kind = byText
		return key, p.derived, true
	case opTexts:
		key.kind = byText
		return key, p.derived, t.want
	case opPrefix:
		key.kind = byPrefix
		return key, p.derived, t.want && t.text != ""
	case opSuffix:
		key.kind = bySuffix
		return key, p.derived, t.want && t.text != ""
	case opContains:
		key.kind = byFragment
		return key, p.derived, t.want && len(t.text) >= fragmentBytes
	case opMatches:
		key.kind = byFragment
		return key, p.derived, t.want && len(p.literal) >= fragmentBytes
	case opPresent:
		key.kind = byOutcome
		return key, p.derived, !t.want && t.depth == 0
	case opNets:
		return b.netFacet(p)
	default:
		return key, 0, false
	}
}

// netFacet is the facet of addresses of one family, as numbers.
func (b *Builder) netFacet(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.test
	prefixes := b.code.nets[t.ref].prefixes
	v4 := prefixes[0].Addr().Is4()
	for _, prefix := range prefixes {
		ok = prefix.Addr().Is4() == v4
		if !ok {
			break
		}
	}
	if !ok || !t.want || t.n == 0 || t.depth > 0 {
		return key, 0, false
	}
	derived = b.parts.netNumber(int(t.n), int(t.slot), v4)
	return facetKey{list: -1, slot: int32(b.code.derived[derived-1].slot), outcome: -1}, derived, true
}

// spans are the numbers that a test asks for.
func (b *Builder) spans(all []span, t *test, position int32) []span {
	low, high, n := t.n, t.n, t.n
	op := t.op
	switch t.op {
	case opInts:
		set := &b.code.ints[t.ref]
		for _, v := range set.few {
			all = append(all, span{v, v, position})
		}
		for v := range set.many {
			all = append(all, span{v, v, position})
		}
		return all
	case opNets:
		for _, prefix := range b.code.nets[t.ref].prefixes {
			low, high = netBounds(prefix)
			all = append(all, span{low, high, position})
		}
		return all
	case opFloat:
		op, n = intOps[t.how], floatOrder(t.m)
	case opMoney:
		op = intOps[t.how]
	default:
	}
	if op == opFlag || op == opIntEq {
		return append(all, span{n, n, position})
	}
	bounds := part{test: test{op: op, n: n, m: t.m}}
	low, high, ok := bounds.bounds()
	if !ok || low > high {
		return all // nothing passes
	}
	return append(all, span{low, high, position})
}

func netBounds(prefix netip.Prefix) (low, high int64) {
	low = netNumber(prefix.Masked().Addr())
	hosts := 32 - prefix.Bits()
	if prefix.Addr().Is6() {
		hosts = max(64-prefix.Bits(), 0)
	}
	return low, low | int64(uint64(1)<<hosts-1)
}

// Build ends the building. order[i] is the number that rule i gets in Fire;
// extra makes a slot of the fact that no field fills.
func (b *Builder) Build(order []int32, extra func() int) *Index {
	x := &Index{code: b.code, words: (len(b.positions) + 63) / 64}
	places := b.arrange(x, order)
	words := &slab[uint64]{}
	x.all = words.cut(x.words)
	for i := range b.positions {
		x.all[i>>6] |= 1 << (i & 63)
	}
	for _, plan := range b.chosen(x.words) {
		b.addFacet(x, plan, b.look(x, plan, places, words))
	}
	for i := range x.facets {
		x.facets[i].settle(words)
	}
	b.spare(x)
	b.finish(x, extra)
	x.pool = &sync.Pool{New: func() any { return newWork(x) }}
	return x
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
	x.plain = len(b.code.derived) == 0 && b.code.memos == 0 && len(b.code.conds) == 0
	for i := range b.code.tests {
		t := &b.code.tests[i]
		t.memo = memos[t.memo]
		if t.slot < 0 {
			t.slot = slots[-1-t.slot]
		}
	}
}

// arrange orders the positions as their rules are, and
// returns the place of each.
func (b *Builder) arrange(x *Index, order []int32) []int32 {
	byRule := make([]int32, len(b.positions))
	for i := range byRule {
		byRule[i] = int32(i)
	}
	slices.SortStableFunc(byRule, func(i, j int32) int {
		return int(order[b.positions[i].rule]) - int(order[b.positions[j].rule])
	})
	places := make([]int32, len(b.positions))
	x.entries = make([]entry, len(b.positions))
	for place, i := range byRule {
		p := &b.positions[i]
		places[i] = int32(place)
		x.entries[place] = entry{p.pc, order[p.rule]}
	}
	return places
}

// chosen are the facets that spare more than they cost, best first.
func (b *Builder) chosen(words int) []*facetPlan {
	gain := func(plan *facetPlan) float64 {
		total := 0.0
		for _, a := range plan.asks {
			p := &b.positions[a.position]
			total += p.left * (1 - a.likely) * (runCost + p.cost)
		}
		return total
	}
	slices.SortStableFunc(b.order, func(p, q *facetPlan) int { return byRatio(gain(q), gain(p)) })
	var kept []*facetPlan
	if len(b.positions) <= maxAlternatives && !b.all {
		return nil // running all of them is faster
	}
	for _, plan := range b.order {
		if gain(plan) < plan.price(words) && !b.all {
			continue
		}
		kept = append(kept, plan)
		for _, a := range plan.asks {
			b.positions[a.position].left *= a.likely
		}
	}
	return kept
}

// noTest marks an ask whose facet spares no test.
const noTest int32 = -1

// runCost is what running a position takes beside its tests, in about
// nanoseconds: its code is rarely near.
const runCost = 25

// facetCosts are about nanoseconds.
var facetCosts = [...]float64{byNumber: 15, byText: 25, byPrefix: 35, bySuffix: 35, byFragment: 50, byOutcome: 30}

// price is what looking at a facet takes, in about nanoseconds.
func (p *facetPlan) price(words int) float64 {
	price := facetCosts[p.key.kind] + 0.5*float64(words)
	if p.derived > 0 {
		price += 10
	}
	if p.key.list >= 0 {
		price *= assumedQuick
	}
	return price
}

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
func (f *facet) settle(words *slab[uint64]) {
	f.base = f.looks[0].base
	if len(f.looks) == 1 {
		return
	}
	f.base = words.cut(len(f.base))
	copy(f.base, f.looks[0].base)
	for _, l := range f.looks[1:] {
		for w := range f.base {
			f.base[w] &= l.base[w]
		}
	}
}

// look makes what a plan says.
func (b *Builder) look(x *Index, plan *facetPlan, places []int32, words *slab[uint64]) look {
	key := plan.key
	made := look{slot: key.slot, base: words.cut(x.words)}
	copy(made.base, x.all)
	for _, a := range plan.asks {
		place := places[a.position]
		made.base[place>>6] &^= 1 << (place & 63)
	}
	switch key.kind {
	case byNumber:
		spans := b.spanned[:0]
		for i := range plan.asks {
			a := &plan.asks[i]
			spans = b.spans(spans, &a.test, places[a.position])
		}
		b.spanned = spans
		c, exact := newCells(spans, made.base, words)
		if exact {
			b.exact(plan)
		}
		op := plan.asks[0].test.op
		c.float, c.money, c.unit = op == opFloat, op == opMoney, key.currency
		made.masker = c
	case byFragment:
		made.masker = newFragments(plan, places)
	case byOutcome:
		d := &decider{pc: b.emitTest(plan.asks[0].test, plan.derived, accept, reject), yes: words.cut(x.words)}
		copy(d.yes, x.all)
		made.masker = d
		b.exact(plan)
	default:
		made.masker = b.newKeyed(plan, places, made.base, words)
	}
	return made
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
	need, several := b.needs[a.at]
	if need--; several && need > 0 {
		b.needs[a.at] = need
		return
	}
	b.code.tests[a.at].op = opSpared
}

// spare takes the tests that facets spare out of all ways through the code.
func (b *Builder) spare(x *Index) {
	tests := b.code.tests
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

func newFragments(plan *facetPlan, places []int32) *fragments {
	g := &fragments{}
	for _, a := range plan.asks {
		text := a.literal
		if a.test.op == opContains {
			text = a.test.text
		}
		g.add(text, places[a.position])
	}
	return g
}

func (b *Builder) newKeyed(plan *facetPlan, places []int32, base []uint64, words *slab[uint64]) *keyed {
	k := &keyed{}
	for i := range plan.asks {
		a := &plan.asks[i]
		t, place := &a.test, places[a.position]
		if plan.key.kind == byText || len(t.text) == affixLength(t.text) {
			b.spared(a)
		}
		switch t.op {
		case opMatches:
			form := prefixKey
			if plan.key.kind == bySuffix {
				form = suffixKey
			}
			for _, edge := range a.edges {
				k.add(form, edge, place)
			}
		case opPrefix:
			k.add(prefixKey, t.text, place)
		case opSuffix:
			k.add(suffixKey, t.text, place)
		case opTexts:
			set := &b.code.texts[t.ref]
			for _, member := range set.members {
				k.add(wholeKey, member, place)
			}
		default:
			k.add(wholeKey, t.text, place)
		}
	}
	k.seal(base, words)
	return k
}

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
