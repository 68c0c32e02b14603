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
	maxKeyMasks     = 256 // keys of a text that have masks of their own
)

// asksPerRule is about how many asks a rule has.
const asksPerRule = 3

// Builder makes the index of a set, rule by rule.
type Builder struct {
	*scratch
	code     *Code
	parts    *parts
	facets   planTable
	units    []string     // currencies of facets
	order    []*facetPlan // of facets, as they were met
	lists    []int32      // of the any that the current position has asked
	terms    int32        // the chain of the rule at hand; 0: none yet
	asked    int          // how many positions have
	slots    []int32      // of derived values
	outcomes []int32      // numbers of those that more than one test has, by memo
	lookups  slab[textSlot]
	strings  textMap
	spares   int   // how many branches facets spare
	touched  int64 // of no use but to be fetched
	all      bool  // every facet is worth its price: for tests
}

// position is one way in which a rule can hold.
type position struct {
	rule, part int32
	left       float64 // the share of facts that the facets chosen so far let through
	cost       float64
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
	byGrid
	byCloser
)

// facetKey names what a facet looks at.
type facetKey struct {
	kind     facetKind
	list     int32 // -1: the fact
	slot     int32
	outcome  int32  // of byOutcome: where the test is remembered, -1: nowhere
	closer   byte   // of byCloser
	every    bool   // of the elements: all must satisfy, not just one
	currency string // of money
}

// facetPlan is a facet on its way.
type facetPlan struct {
	key     facetKey
	derived int32
	part    int32 // the first that asked
	number  int32
	count   int   // of asks
	last    int32 // of them, in the builder's
	asks    []ask // once all have come
	across  axis  // of byGrid
	down    axis
	gain    float64
}

// ask is what a position asks of a facet's value. There are some ten thousands
// of them.
type ask struct {
	likely   float32
	position int32
	plan     int32
	part     int32
	spares   int32 // the part that the facet may spare; noPart: of opMatches, what texts begin or end with, or have in them
}

// span is the numbers from low to high that a position asks for.
type span struct {
	low, high int64
	position  int32
}

// NewBuilder returns a builder without rules. sample may be nil; tests and rules
// are about how many branches and rules there will be.
func NewBuilder(sample *Sample, tests, rules int) *Builder {
	code, with := &Code{}, newScratch(tests, rules)
	return &Builder{scratch: with, code: code, parts: newParts(code, sample, with)}
}

// Add adds a rule. Nothing of when is used afterwards.
func (b *Builder) Add(rule int, when *check.Node) {
	b.rule(rule, b.parts.of(when, false))
}

// Term adds a condition to the conjunction of the rule that EndRule adds, of
// which it may be the only one. Nothing of when is used afterwards.
func (b *Builder) Term(when *check.Node, only bool) {
	if b.terms == 0 {
		b.terms = b.parts.chain(partAnd)
	}
	if only {
		b.parts.add(b.terms, b.parts.of(when, false))
		return
	}
	b.parts.add(b.terms, b.parts.term(when, false))
}

// EndRule adds a rule of the conditions that came since the last one.
func (b *Builder) EndRule(rule int) {
	b.rule(rule, b.parts.settle(b.terms))
	b.terms = 0
}

// rule keeps a rule until the Flush.
func (b *Builder) rule(rule int, i int32) {
	p := &b.made[i]
	switch {
	case p.kind == partFalse:
	case p.kind == partOr && b.few(p):
		for at := p.first; at != 0; at = b.made[at].next {
			b.wait(rule, at)
		}
	default:
		b.wait(rule, i)
	}
}

// few reports whether alternatives get positions of their own.
func (b *Builder) few(p *part) bool {
	n := 0
	for i := p.first; i != 0 && n <= maxAlternatives; i = b.made[i].next {
		n++
	}
	return n <= maxAlternatives
}

// wait makes a position, and notes which of its tests others have by now.
func (b *Builder) wait(rule int, i int32) {
	p := &b.made[i]
	b.positions = append(b.positions, position{int32(rule), i, 1, p.cost})
	if p.kind == partTest {
		p.shared = b.shared(p)
	}
	if p.kind == partAnd {
		for at := p.first; at != 0; at = b.made[at].next {
			b.made[at].shared = b.shared(&b.made[at])
		}
	}
}

// shared reports whether a slow test has come before.
func (b *Builder) shared(p *part) bool { return p.memo > 0 && b.parts.uses[p.memo] > 1 }

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
	a := ask{likely: float32(p.likely), position: number, part: i, spares: i}
	if p.shared {
		// The first rule with this test is not among the asks: no facet excludes it.
		b.add(facetKey{kind: byOutcome, list: -1, outcome: p.memo}, p.derived(), a)
	}
	if p.op == opAny {
		b.askElements(p, a)
		return
	}
	if p.op == opMatches && p.want && b.askEdges(p, a) {
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
	b.join(plan, a)
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
	return [2]uint64{uint64(uint32(key.list))<<32 | uint64(uint32(key.slot)), uint64(uint32(key.outcome))<<32 | uint64(unit)<<16 | uint64(key.closer)<<8 | uint64(key.kind)<<1 | every}
}

// add adds an ask of a facet.
func (b *Builder) add(key facetKey, derived int32, a ask) {
	b.join(b.plan(key, derived, a.part), a)
}

// plan is that of a facet.
func (b *Builder) plan(key facetKey, derived, part int32) *facetPlan {
	number := b.facets.at(b.pack(key))
	if *number == 0 {
		*number = int32(len(b.order) + 1)
		b.order = append(b.order, &facetPlan{key: key, derived: derived, part: part, number: *number - 1})
	}
	return b.order[*number-1]
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
	for _, plan := range b.order {
		plan.asks, all = all[:0:plan.count], all[plan.count:]
	}
	for i := range b.asks {
		plan := b.order[b.asks[i].plan]
		plan.asks = append(plan.asks, b.asks[i])
	}
}

// askElements asks for what `any` needs of one element, and `all` of every.
func (b *Builder) askElements(p *part, a ask) {
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
	p.m = 0 // facets must spare all of the body
	for i := first; ; i = b.made[i].next {
		p.m++
		if b.made[i].likely < b.made[rarest].likely {
			rarest = i
		}
		if b.made[i].next == 0 {
			break
		}
	}
	for i := first; i != 0; i = b.made[i].next {
		b.askElement(p, i, i == rarest, a)
	}
}

// askElement asks for a part of the body of an `any`, or `all`.
func (b *Builder) askElement(p *part, i int32, rarest bool, a ask) {
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
		likely = everyLikely(q.likely, b.parts.each[p.ref])
	case rarest:
		likely = someLikely(q.likely, b.parts.each[p.ref])
	default: // of the elements that are left
		likely = min(0.9, 1.2*q.likely)
	}
	a.likely, a.part = float32(clampLikely(likely)), i
	b.join(plan, a)
}

// facetOf tells which facet a test asks.
func (b *Builder) facetOf(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.draft
	key = facetKey{list: -1, slot: t.slot, outcome: -1}
	switch t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn:
		return key, p.derived(), true
	case opInts:
		return key, p.derived(), t.want
	case opFloat:
		return key, p.derived(), check.Op(t.how) != check.Ne
	case opMoney:
		key.currency = b.texts[t.ref].text
		return key, p.derived(), check.Op(t.how) != check.Ne
	case opTextEq:
		key.kind = byText
		return key, p.derived(), true
	case opTexts:
		key.kind = byText
		return key, p.derived(), t.want
	case opPrefix:
		key.kind = byPrefix
		return key, p.derived(), t.want && t.ref != 0
	case opSuffix:
		key.kind = bySuffix
		return key, p.derived(), t.want && t.ref != 0
	case opContains:
		key.kind = byFragment
		return key, p.derived(), t.want && len(b.texts[t.ref].text) >= fragmentBytes
	case opMatches:
		key.kind = byFragment
		return key, p.derived(), t.want && len(b.code.regexes[t.ref].Literal()) >= fragmentBytes
	case opPresent:
		key.kind = byOutcome
		return key, p.derived(), !t.want && t.depth == 0
	case opNets:
		return b.netFacet(p)
	default:
		return key, 0, false
	}
}

// netFacet is the facet of addresses of one family, as numbers.
func (b *Builder) netFacet(p *part) (key facetKey, derived int32, ok bool) {
	t := &p.draft
	prefixes := b.parts.prefixes[t.ref]
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
func (b *Builder) spans(all []span, t *draft, position int32) []span {
	op, n := t.op, t.n
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
		for _, prefix := range b.parts.prefixes[t.ref] {
			low, high := netBounds(prefix)
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
	bounds := draft{op: op, n: n, m: t.m}
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

// Build ends the building: the builder must not be used any more. order[i] is
// the number that rule i gets in Fire; extra makes a slot of the fact that no
// field fills.
func (b *Builder) Build(order []int32, extra func() int) *Index {
	b.Flush()
	x := &Index{code: b.code, words: maskWords(len(b.positions))}
	places := b.arrange(x, order)
	words := &slab[uint64]{}
	x.all = words.cut(x.words)
	for i := range b.positions {
		x.all[i>>6] |= 1 << (i & 63)
	}
	b.raise()
	b.sortAsks()
	b.settle(extra)
	for _, plan := range b.chosen(x.words) {
		b.addFacet(x, plan, b.look(x, plan, places, words))
	}
	for i := range x.facets {
		x.facets[i].settle(words)
	}
	b.lay(x, places)
	for i := range x.facets {
		x.facets[i].shape()
		x.facets[i].union = int32(x.unions)
		if f := x.facets[i].form; f == formAny || f == formPairs {
			x.unions++
		}
	}
	x.pairUp()
	x.sortForms()
	b.release()
	x.pool = &sync.Pool{New: func() any { return newWork(x) }}
	return x
}

// arrange orders the positions as their rules are, and returns the place of
// each. Those of a rule stand side by side.
func (b *Builder) arrange(x *Index, order []int32) []int32 {
	begins := make([]int32, len(order)+1) // by rule's number
	for i := range b.positions {
		begins[order[b.positions[i].rule]+1]++
	}
	for i := range begins[1:] {
		begins[i+1] += begins[i]
	}
	places := make([]int32, len(b.positions))
	x.entries = make([]entry, len(b.positions))
	for i := range b.positions {
		number := order[b.positions[i].rule]
		places[i] = begins[number]
		begins[number]++
		x.entries[places[i]].rule = number
	}
	return places
}
