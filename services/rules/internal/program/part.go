package program

import (
	"math"
	"slices"

	"github.com/backlot-video/backlot/services/rules/internal/arena"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/pattern"
	"github.com/backlot-video/backlot/services/rules/list"
)

// partKind is the form of a part.
type partKind uint8

const (
	partTest partKind = iota
	partAnd
	partOr
	partTrue
	partFalse
)

// part is a condition on its way to branches: `not` has been pushed into the
// tests, constants are folded, and/or chains are flat.
type part struct {
	kind    partKind
	parts   []*part // of partAnd and partOr
	test    test
	derived int32   // 1 + the derived value that test reads, 0: none
	body    *part   // of opAny
	each    float64 // of opAny: how many elements its list has, about
	literal string  // of opMatches: what every match contains
	at      int32   // where the test is in the code
	rank    float64 // within its chain
	shared  bool    // other rules have the same slow test
	shape   int32   // of a test; 0: none
	estimate
}

var (
	truePart  = &part{kind: partTrue}
	falsePart = &part{kind: partFalse}
)

func constPart(v bool) *part {
	if v {
		return truePart
	}
	return falsePart
}

// parts turns checked conditions into parts, sharing what rules of a set have
// in common.
type parts struct {
	code     *Code
	sample   *Sample
	columns  []columns                      // by list + 1, then by slot
	elements [check.MaxNesting + 1]elements // by depth
	derived  keyTable
	memos    *keyTable
	uses     []int32 // by memo
	lists    map[*list.Ref]int32
	regexes  map[string]int32
	regex    int32 // the number asked for last
	buffer   []byte
	made     arena.Pool[part]
	chains   arena.Pool[*part]
	fixed    *Frame  // where constants are folded
	shapes   []shape // by number
}

func newParts(code *Code, sample *Sample, memos *keyTable) *parts {
	return &parts{
		code: code, sample: sample, memos: memos, uses: []int32{0}, lists: map[*list.Ref]int32{}, regexes: map[string]int32{}, fixed: NewFrame(0),
	}
}

// of makes the part of a condition, or with negate of its negation.
func (b *parts) of(n *check.Node, negate bool) *part {
	switch n.Op {
	case check.Not:
		return b.of(n.Args[0], !negate)
	case check.And, check.Or:
		kind := partAnd
		if (n.Op == check.Or) != negate {
			kind = partOr
		}
		chain := b.chain(kind, len(n.Args))
		for _, arg := range n.Args {
			if kind == partAnd {
				chain.add(b.term(arg, negate))
			} else {
				chain.add(b.of(arg, negate))
			}
		}
		return chain.simple()
	case check.Const:
		return constPart((n.Value.N != 0) != negate)
	case check.Default:
		if first := n.Args[0]; first.Op == check.Field {
			return b.defaulted(n, negate)
		}
	default:
	}
	return b.leaf(n, negate)
}

// term makes the part of a condition that must hold beside others. Alternatives
// that no opcode can test are one test then: the rules of a set that have the
// same ones ask it once.
func (b *parts) term(n *check.Node, negate bool) *part {
	p := b.of(n, negate)
	closed := func(q *part) bool { return q.kind == partTest && q.test.op == opCond }
	if p.kind != partOr || !slices.ContainsFunc(p.parts, closed) {
		return p
	}
	if _, shared := b.key(n); !shared {
		return p
	}
	one := b.closure(n, negate)
	one.likely = p.likely
	return one
}

// chain returns an empty chain with room for n parts.
func (b *parts) chain(kind partKind, n int) *part {
	p := b.made.Get()
	p.kind, p.parts = kind, b.chains.Slice(n)
	return p
}

// single returns a part of one test.
func (b *parts) single(t test) *part {
	p := b.made.Get()
	p.test = t
	return p
}

// defaulted is `field default true`: the field where it is there, else the
// other.
func (b *parts) defaulted(n *check.Node, negate bool) *part {
	field := n.Args[0]
	absent := b.slotTest(field, test{op: opPresent})
	either := b.chain(partOr, 2)
	either.add(b.of(field, negate))
	otherwise := b.chain(partAnd, 2)
	otherwise.add(absent)
	otherwise.add(b.of(n.Args[1], negate))
	either.add(otherwise.simple())
	return either.simple()
}

// add appends to a chain what is not already decided.
func (p *part) add(q *part) {
	switch {
	case p.kind == partAnd && q.kind == partTrue, p.kind == partOr && q.kind == partFalse:
	case p.kind == q.kind:
		for _, inner := range q.parts {
			p.add(inner)
		}
	case p.kind == partAnd && p.narrow(q):
	default:
		p.parts = append(p.parts, q)
	}
}

// narrow joins an upper and a lower bound of one whole number into a range.
func (p *part) narrow(q *part) bool {
	low, high, ok := q.bounds()
	if !ok || len(p.parts) == 0 {
		return false
	}
	last := p.parts[len(p.parts)-1]
	lastLow, lastHigh, ok := last.bounds()
	if !ok || last.test.slot != q.test.slot || last.test.depth != q.test.depth {
		return false
	}
	// Both are this chain's own: the leaf just made and the one before it.
	last.test.op, last.test.n, last.test.m = opIntIn, max(low, lastLow), min(high, lastHigh)
	last.estimate = last.both(q.estimate)
	return true
}

// bounds are those of the test that a part is.
func (p *part) bounds() (low, high int64, ok bool) {
	if p.kind != partTest {
		return 0, 0, false
	}
	return p.test.bounds()
}

// bounds are what a test of order or range lets through.
func (t *test) bounds() (low, high int64, ok bool) {
	switch {
	case t.op == opIntLe:
		return math.MinInt64, t.n, true
	case t.op == opIntLt && t.n > math.MinInt64:
		return math.MinInt64, t.n - 1, true
	case t.op == opIntGe:
		return t.n, math.MaxInt64, true
	case t.op == opIntGt && t.n < math.MaxInt64:
		return t.n + 1, math.MaxInt64, true
	case t.op == opIntIn:
		return t.n, t.m, true
	}
	return 0, 0, false
}

// simple settles a chain: what decides it alone, and chains of none and one.
func (p *part) simple() *part {
	decided := partFalse
	if p.kind == partOr {
		decided = partTrue
	}
	for _, q := range p.parts {
		if q.kind == decided {
			return q
		}
	}
	switch len(p.parts) {
	case 0:
		return constPart(p.kind == partAnd)
	case 1:
		return p.parts[0]
	}
	p.arrange()
	return p
}

// arrange orders a chain so that what decides most for least comes first, and
// estimates the whole. Equal ones stay as they were written.
func (p *part) arrange() {
	for _, q := range p.parts {
		decides := q.likely
		if p.kind == partAnd {
			decides = 1 - q.likely
		}
		q.rank = q.cost / decides
	}
	if len(p.parts) <= shortChain {
		p.arrangeShort()
	} else {
		slices.SortStableFunc(p.parts, func(a, b *part) int { return byRatio(a.rank, b.rank) })
	}
	reach := 1.0
	p.cost, p.likely = 0, 1
	for _, q := range p.parts {
		p.cost += reach * q.cost
		if p.kind == partAnd {
			reach *= q.likely
		} else {
			reach *= 1 - q.likely
		}
	}
	p.likely = reach
	if p.kind == partOr {
		p.likely = 1 - reach
	}
	p.likely = clampLikely(p.likely)
}

// shortChain is up to how many parts are put in order one by one.
const shortChain = 12

func (p *part) arrangeShort() {
	for i, q := range p.parts {
		at := i
		for at > 0 && q.rank < p.parts[at-1].rank {
			p.parts[at] = p.parts[at-1]
			at--
		}
		p.parts[at] = q
	}
}

func byRatio(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// listRef numbers lists; equal ones share a number.
func (b *parts) listRef(l *list.Ref) int32 {
	number, ok := b.lists[l]
	if !ok {
		number = int32(len(b.code.lists))
		b.code.lists, b.lists[l] = append(b.code.lists, l), number
	}
	return number
}

// regexRef numbers patterns; equal ones share a number.
func (b *parts) regexRef(r *pattern.Pattern) int32 {
	if last := b.regex; last < int32(len(b.code.regexes)) && b.code.regexes[last] == r {
		return last
	}
	number, ok := b.regexes[r.String()]
	if !ok {
		number = int32(len(b.code.regexes))
		b.code.regexes, b.regexes[r.String()] = append(b.code.regexes, r), number
	}
	b.regex = number
	return number
}

// memo numbers the outcome of a slow test of the fact, so that it is found
// out once a judgement; 0 where its key says nothing.
func (b *parts) memo(n *check.Node, negate bool) int32 {
	key, ok := b.key(n)
	if !ok {
		return 0
	}
	if negate {
		key = append(key, '!')
	}
	number := b.memos.at(key)
	if *number == 0 {
		*number = int32(len(b.uses))
		b.uses = append(b.uses, 0)
	}
	b.uses[*number]++
	return *number
}

// derive returns 1 + the number of the derived value that a node is, and its
// slot, which is below zero until the slots of the fact are all known.
func (b *parts) derive(n *check.Node) (number int32, slot int, ok bool) {
	key, ok := b.key(n)
	if !ok {
		return 0, 0, false
	}
	known := b.derived.at(key)
	if *known == 0 {
		d := derivationOf(n)
		if d.pair != nil {
			d.pair.mostOfA, d.pair.mostOfB = b.most(n.Args[0]), b.most(n.Args[1])
		}
		*known = b.derivation(d)
	}
	return *known, b.code.derived[*known-1].slot, true
}

func (b *parts) derivation(d derivation) int32 {
	d.slot = -1 - len(b.code.derived)
	b.code.derived = append(b.code.derived, d)
	return int32(len(b.code.derived))
}

// netNumber returns 1 + the number of the derived number of an address field.
func (b *parts) netNumber(number, slot int, v4 bool) int32 {
	b.buffer = append(b.buffer[:0], 0) // no operation
	b.number(int64(slot))
	b.number(flagValue(v4))
	known := b.derived.at(b.buffer)
	if *known == 0 {
		*known = b.derivation(derivation{ints: deriveNet(number, slot, v4)})
	}
	return *known
}
