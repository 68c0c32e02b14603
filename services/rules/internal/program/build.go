package program

import (
	"math"
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
	units    []string     // currencies of facets
	order    []*facetPlan // of facets, as they were met
	lists    []int32      // of the any that the current position has asked
	terms    int32        // the chain of the rule at hand; 0: none yet
	asked    int          // how many positions have
	slots    []int32      // of derived values
	outcomes []int32      // numbers of those that more than one test has, by memo
	lookups  slab[textSlot]
	ranges   slab[[2]uint32]
	strings  []int32 // 1 + the number of a text in the code, 0: none
	touched  uint64  // of no use but to be fetched
	spares   int     // how many branches they take
	all      bool    // every facet is worth its price: for tests
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
func (b *Builder) shared(p *part) bool { return p.memo > 0 && b.uses[p.memo].tests > 1 }

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

// add adds an ask of a facet by a part.
func (b *Builder) add(key facetKey, derived, part int32, a ask) {
	b.join(b.plan(key, derived, part), a)
}

// plan is that of a facet.
func (b *Builder) plan(key facetKey, derived, part int32) *facetPlan {
	number := b.facets.at(b.pack(key))
	if *number == 0 {
		*number = b.newPlan(key, derived, part)
	}
	return b.order[*number-1]
}

// outcomePlan is that of the outcome of a test that others have.
func (b *Builder) outcomePlan(p *part, i int32) *facetPlan {
	use := &b.uses[p.memo]
	if use.plan == 0 {
		use.plan = b.newPlan(facetKey{kind: byOutcome, list: -1, outcome: p.memo}, p.derived(), i)
	}
	return b.order[use.plan-1]
}

// newPlan returns the number of a new facet, from 1.
func (b *Builder) newPlan(key facetKey, derived, part int32) int32 {
	plan := &facetPlan{key: key, derived: derived, part: part, number: int32(len(b.order))}
	b.order = append(b.order, plan)
	return plan.number + 1
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
	b.without = zeroed(b.without, len(b.made)>>6+1)
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
	b.places = slices.Grow(b.places[:0], len(b.positions))
	places := b.places[:len(b.positions)]
	x.entries = make([]entry, len(b.positions))
	for i := range b.positions {
		number := order[b.positions[i].rule]
		places[i] = begins[number]
		begins[number]++
		x.entries[places[i]].rule = number
	}
	return places
}
