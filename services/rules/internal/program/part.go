package program

import (
	"math"
	"slices"

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
// tests, constants are folded, and/or chains are flat. There are some ten
// thousands of them, a cache line each, and named by where they are in parts.
type part struct {
	estimate
	draft
	kind    partKind
	decided bool  // of a chain: a part that needs no fact says what it comes to
	shared  bool  // other rules have the same slow test
	shape   int32 // of a test; 0: none
	first   int32 // of a chain; of opAny its body. 0: none
	next    int32 // within its chain; 0: none
}

// draft is a test on its way: without branches. Of opTexts, opNets, opAny and
// what has a text, ref is in parts; of a chain, it is its last part.
type draft struct {
	op              opcode
	how             uint8
	want            bool
	depth           uint8
	slot, ref, memo int32
	n               int64
	m               int64 // of opIntIn
}

// Where parts begin with those that need no fact.
const (
	truePart int32 = iota
	falsePart
)

func constPart(v bool) int32 {
	if v {
		return truePart
	}
	return falsePart
}

// parts turns checked conditions into parts, sharing what rules of a set have
// in common.
type parts struct {
	*scratch
	code     *Code
	sample   *Sample
	columns  []columns                      // by list + 1, then by slot
	elements [check.MaxNesting + 1]elements // by depth
	derived  keyTable
	lists    map[*list.Ref]int32
	regexes  map[*pattern.Pattern]int32
	regex    int32   // the number asked for last
	written  key     // the last one
	branches int     // that all tests take, about
	fixed    *Frame  // where constants are folded
	shapes   []shape // by number
}

func newParts(code *Code, sample *Sample, with *scratch) *parts {
	return &parts{
		scratch: with, code: code, sample: sample, lists: map[*list.Ref]int32{}, regexes: map[*pattern.Pattern]int32{},
		fixed: NewFrame(0),
	}
}

// body is what opAny asks of the elements of a list.
type body struct {
	each  float64 // how many elements there are, about
	part  int32   // the opAny
	tests int32   // of which each has a facet, if facets can spare the opAny
	exact int32   // how many more facets must say all of it to do so
}

// memberSet is a set of texts on its way.
type memberSet struct {
	members []string // in order, each once
	first   int32    // of them in parts' members, where they stand one behind the other
}

// textOf numbers a text of drafts; 0 is the empty one. Equal ones share a number:
// what is known of a text that many ask for stays near.
func (b *parts) textOf(s string) int32 {
	if s == "" {
		return 0
	}
	text := ended(s)
	number, added := b.numbers.number(text.key(), s)
	if added {
		b.texts = append(b.texts, text)
	}
	return number
}

// of makes the part of a condition, or with negate of its negation.
func (b *parts) of(n *check.Node, negate bool) int32 {
	switch n.Op {
	case check.Not:
		return b.of(n.Args[0], !negate)
	case check.And, check.Or:
		kind := partAnd
		if (n.Op == check.Or) != negate {
			kind = partOr
		}
		chain := b.chain(kind)
		for _, arg := range n.Args {
			if kind == partAnd {
				b.add(chain, b.term(arg, negate))
			} else {
				b.add(chain, b.of(arg, negate))
			}
		}
		return b.settle(chain)
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
func (b *parts) term(n *check.Node, negate bool) int32 {
	i := b.of(n, negate)
	if b.made[i].kind != partOr || !b.closed(i) {
		return i
	}
	if _, shared := b.key(n); !shared {
		return i
	}
	one := b.closure(n, negate)
	b.made[one].likely = b.made[i].likely
	return one
}

// closed reports whether a chain has a test that is a closure.
func (b *parts) closed(chain int32) bool {
	for i := b.made[chain].first; i != 0; i = b.made[i].next {
		if p := &b.made[i]; p.kind == partTest && p.op == opCond {
			return true
		}
	}
	return false
}

// chain returns an empty chain.
func (b *parts) chain(kind partKind) int32 {
	b.made = append(b.made, part{kind: kind})
	return int32(len(b.made) - 1)
}

// derived is 1 + the number of the derived value that a test reads, 0: none.
func (t *draft) derived() int32 { return max(-t.slot, 0) }

// branches is how many a test takes by itself.
func (t *draft) branches() int {
	if t.slot < 0 {
		return 2
	}
	return 1
}

// single returns a part of one test, which is valid until the next part is made.
func (b *parts) single(d draft) (int32, *part) {
	b.branches++
	b.made = append(b.made, part{draft: d})
	i := len(b.made) - 1
	return int32(i), &b.made[i]
}

// defaulted is `field default true`: the field where it is there, else the
// other.
func (b *parts) defaulted(n *check.Node, negate bool) int32 {
	field := n.Args[0]
	absent := b.slotTest(field, draft{op: opPresent})
	either := b.chain(partOr)
	b.add(either, b.of(field, negate))
	otherwise := b.chain(partAnd)
	b.add(otherwise, absent)
	b.add(otherwise, b.of(n.Args[1], negate))
	b.add(either, b.settle(otherwise))
	return b.settle(either)
}

// add appends a part to a chain.
func (b *parts) add(chain, i int32) {
	p, q := &b.made[chain], &b.made[i]
	switch {
	case p.kind == partAnd && q.kind == partTrue, p.kind == partOr && q.kind == partFalse:
	case q.kind == partTrue, q.kind == partFalse:
		p.decided = true
	case p.kind == q.kind:
		for at := q.first; at != 0; {
			next := b.made[at].next
			b.add(chain, at)
			at = next
		}
	case p.kind == partAnd && b.narrow(p, q):
	default:
		b.link(p, i)
	}
}

// link puts a part behind a chain's last one.
func (b *parts) link(chain *part, i int32) {
	if chain.first == 0 {
		chain.first = i
	} else {
		b.made[chain.ref].next = i
	}
	chain.ref, b.made[i].next = i, 0
}

// narrow joins an upper and a lower bound of one whole number into a range.
func (b *parts) narrow(p, q *part) bool {
	low, high, ok := q.bounds()
	if !ok || p.first == 0 {
		return false
	}
	last := &b.made[p.ref]
	lastLow, lastHigh, ok := last.bounds()
	if !ok || last.slot != q.slot || last.depth != q.depth {
		return false
	}
	// Both are this chain's own: the leaf just made and the one before it.
	b.branches -= q.branches()
	last.op, last.n, last.m = opIntIn, max(low, lastLow), min(high, lastHigh)
	last.estimate = last.both(q.estimate)
	return true
}

// bounds are those of the test that a part is.
func (p *part) bounds() (low, high int64, ok bool) {
	if p.kind != partTest {
		return 0, 0, false
	}
	return p.draft.bounds()
}

// bounds are what a test of order or range lets through.
func (t *draft) bounds() (low, high int64, ok bool) {
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

// settle ends a chain: what decides it alone, and chains of none and one, are no
// chains.
func (b *parts) settle(chain int32) int32 {
	p := &b.made[chain]
	switch {
	case p.decided:
		return constPart(p.kind == partOr)
	case p.first == 0:
		return constPart(p.kind == partAnd)
	case p.first == p.ref:
		return p.first
	}
	b.arrange(p)
	return chain
}

// arrange orders a chain so that what decides most for least comes first, and
// estimates the whole. Equal ones stay as they were written.
func (b *parts) arrange(p *part) {
	all := b.chained[:0]
	for i := p.first; i != 0; i = b.made[i].next {
		q := &b.made[i]
		decides := q.likely
		if p.kind == partAnd {
			decides = 1 - q.likely
		}
		all = append(all, ranked{q.cost / decides, i})
	}
	b.chained = all
	if len(all) <= shortChain {
		arrangeShort(all)
	} else {
		slices.SortStableFunc(all, func(a, b ranked) int { return byRatio(a.rank, b.rank) })
	}
	reach := 1.0
	p.first, p.ref = 0, 0
	p.cost, p.likely = 0, 1
	for _, at := range all {
		b.link(p, at.part)
		q := &b.made[at.part]
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

// ranked is a part of a chain, and what asking it costs for what it decides.
type ranked struct {
	rank float64
	part int32
}

// shortChain is up to how many parts are put in order one by one.
const shortChain = 12

func arrangeShort(all []ranked) {
	for i, r := range all {
		at := i
		for at > 0 && r.rank < all[at-1].rank {
			all[at] = all[at-1]
			at--
		}
		all[at] = r
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
	number, ok := b.regexes[r]
	if !ok {
		number = int32(len(b.code.regexes))
		b.code.regexes, b.regexes[r] = append(b.code.regexes, r), number
	}
	b.regex = number
	return number
}

// memo numbers the outcome of a slow test of the fact, so that it is found
// out once a judgement; 0 where its key says nothing.
func (b *parts) memo(n *check.Node, negate bool) int32 {
	number := b.matchMemo(n, negate)
	if number == nil {
		key, ok := b.key(n)
		if !ok {
			return 0
		}
		if negate {
			key.word(math.MaxUint64)
		}
		number = b.memos.at(key)
	}
	if *number == 0 {
		*number = int32(len(b.uses))
		b.uses = append(b.uses, use{})
	}
	b.uses[*number].tests++
	return *number
}

// use is what is known of a test that is remembered.
type use struct {
	tests int32 // how many are the same
	plan  int32 // 1 + the facet of the outcome; 0: none
}

// matched is where the outcome of a pattern is remembered: that of the first field
// that was matched against it, and of the negation.
type matched struct {
	slot  int // 1 + the field's; 0: none so far
	memos [2]int32
}

// matchMemo is where the memo's number is kept for a field that must match a
// pattern, if it is the pattern's first one; nil for others.
func (b *parts) matchMemo(n *check.Node, negate bool) *int32 {
	if n.Op != check.Matches || n.Args[0].Op != check.Field || n.Args[0].Depth > 0 {
		return nil
	}
	regex, slot := int(b.regexRef(n.Regex)), n.Args[0].Slot+1
	for len(b.matches) <= regex {
		b.matches = append(b.matches, matched{})
	}
	m := &b.matches[regex]
	if m.slot == 0 {
		m.slot = slot
	}
	if m.slot != slot {
		return nil
	}
	return &m.memos[flagValue(negate)]
}

// derive returns the slot of the derived value that a node is, which is below
// zero until the slots of the fact are all known: its number, from 1, negated.
func (b *parts) derive(n *check.Node) (slot int, ok bool) {
	key, ok := b.key(n)
	if !ok {
		return 0, false
	}
	known := b.derived.at(key)
	if *known == 0 {
		d := derivationOf(n)
		if d.pair != nil {
			d.pair.ofA, d.pair.ofB = b.summand(n.Args[0]), b.summand(n.Args[1])
		}
		*known = b.derivation(d)
	}
	return b.code.derived[*known-1].slot, true
}

func (b *parts) derivation(d derivation) int32 {
	d.slot = -1 - len(b.code.derived)
	b.code.derived = append(b.code.derived, d)
	return int32(len(b.code.derived))
}

// netNumber returns 1 + the number of the derived number of an address field.
func (b *parts) netNumber(number, slot int, v4 bool) int32 {
	b.written.reset()
	b.written.word(math.MaxUint64) // no operation
	b.written.word(uint64(slot)<<1 | uint64(flagValue(v4)))
	known := b.derived.at(&b.written)
	if *known == 0 {
		*known = b.derivation(derivation{ints: deriveNet(number, slot, v4)})
	}
	return *known
}
