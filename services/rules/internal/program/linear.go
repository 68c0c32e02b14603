package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// term is one summand of a linear expression: a field of the fact times a
// factor, or (slot is -1) a constant.
type term struct {
	slot   int
	factor int64
	value  fact.Slot
	minus  bool
}

// linear takes a sum such as `amount + fee * 2 - 3.00 CNY` apart, of whole
// numbers, durations or money. ok is false for what is no such sum, or brackets
// otherwise than from the left: then checked arithmetic might end elsewhere.
func linear(n *check.Node) (terms []term, ok bool) {
	switch n.Op {
	case check.Add, check.Sub:
		terms, ok = linear(n.Args[0])
		if !ok {
			return nil, false
		}
		t, single := summand(n.Args[1])
		t.minus = n.Op == check.Sub
		return append(terms, t), single
	default:
		t, single := summand(n)
		return []term{t}, single
	}
}

func summand(n *check.Node) (t term, ok bool) {
	switch n.Type.Kind {
	case fact.Int, fact.Duration, fact.Money:
	default:
		return t, false
	}
	switch n.Op {
	case check.Const:
		return term{slot: -1, value: n.Value}, true
	case check.Field:
		return term{slot: n.Slot, factor: 1}, n.Depth == 0
	case check.Mul:
		field, factor := n.Args[0], n.Args[1]
		if field.Op == check.Const {
			field, factor = factor, field
		}
		plain := field.Op == check.Field && field.Depth == 0 && factor.Op == check.Const && factor.Type.Kind == fact.Int
		return term{slot: field.Slot, factor: factor.Value.N}, plain
	default:
		return t, false
	}
}

// sumWithin compares a linear expression with a constant; nil for others.
func sumWithin(op check.Op, a, b *check.Node) Cond {
	if b.Op != check.Const {
		return nil
	}
	terms := sums(a)
	low, width, ok := within(op, b.Value.N)
	if terms == nil || !ok {
		return nil
	}
	unit := b.Value.S
	sum := func(f *Frame) bool {
		v, currency, ok := f.sum(terms)
		return ok && f.sameCurrency(currency, unit) && uint64(v-low) <= width
	}
	if len(terms) != 2 || !terms[0].small() || !terms[1].small() {
		return sum
	}
	first, second, times, more := terms[0].slot, terms[1].slot, terms[0].factor, terms[1].factor
	if terms[1].minus {
		more = -more
	}
	return func(f *Frame) bool {
		x, y := &f.Record.Slots[first], &f.Record.Slots[second]
		if small(x.N, y.N) && sameText(x.S, unit) && sameText(y.S, unit) {
			return x.OK && y.OK && uint64(x.N*times+y.N*more-low) <= width
		}
		return sum(f)
	}
}

// Numbers and factors of up to so much have sums of products that fit.
const (
	smallNumber = 1 << 40
	smallFactor = 1 << 20
)

// small reports whether two numbers are.
func small(a, b int64) bool {
	return uint64(a+smallNumber)|uint64(b+smallNumber) < 2*smallNumber
}

// small reports whether a term is a field times a small factor.
func (t *term) small() bool {
	return t.slot >= 0 && -smallFactor < t.factor && t.factor < smallFactor
}

// smallSum is the sum of two small terms of small numbers.
func (f *Frame) smallSum(a, b *term) (total int64, currency string, ok bool) {
	if !a.small() || !b.small() {
		return 0, "", false
	}
	x, y := &f.Record.Slots[a.slot], &f.Record.Slots[b.slot]
	if !x.OK || !y.OK || !small(x.N, y.N) || !sameText(x.S, y.S) {
		return 0, "", false
	}
	v, w := x.N*a.factor, y.N*b.factor
	if b.minus {
		w = -w
	}
	return v + w, x.S, true
}

// pair is a sum of two small terms, or the ceiling of several of the same
// fields: then the factors are from times to timesMost and from more to moreMost.
type pair struct {
	a, b             int // slots
	times, timesMost int64
	more, moreMost   int64
	money            bool
	ofA, ofB         *column // what a sample has of the fields; nil: nothing
}

// pairOf is a sum as a pair; nil for others.
func pairOf(n *check.Node) *pair {
	terms := sums(n)
	if len(terms) != 2 || !terms[0].small() || !terms[1].small() {
		return nil
	}
	p := &pair{a: terms[0].slot, b: terms[1].slot, times: terms[0].factor, more: terms[1].factor, money: n.Type.Kind == fact.Money}
	if terms[1].minus {
		p.more = -p.more
	}
	p.timesMost, p.moreMost = p.times, p.more
	return p
}

// sumPair puts the sum of a pair into a slot; it reports false where that
// takes more care.
func (f *Frame) sumPair(p *pair, to *fact.Slot) bool {
	x, y := &f.Record.Slots[p.a], &f.Record.Slots[p.b]
	if !x.OK || !y.OK || !small(x.N, y.N) {
		return false
	}
	if p.money {
		if !sameText(x.S, y.S) {
			return false
		}
		to.S = x.S
	}
	to.N, to.OK = max(x.N*p.times, x.N*p.timesMost)+max(y.N*p.more, y.N*p.moreMost), true
	return true
}

// sum computes a linear expression from the left.
func (f *Frame) sum(terms []term) (total int64, currency string, ok bool) {
	if len(terms) == 2 {
		if total, currency, ok = f.smallSum(&terms[0], &terms[1]); ok {
			return total, currency, true
		}
	}
	for i := range terms {
		t := &terms[i]
		s := &t.value
		if t.slot >= 0 {
			if s = &f.Record.Slots[t.slot]; !s.OK {
				return 0, "", false
			}
		}
		v := s.N
		if t.slot >= 0 && t.factor != 1 {
			if v, ok = multiply(v, t.factor); !ok {
				return 0, "", f.fits(false)
			}
		}
		if i == 0 {
			total, currency = v, s.S
			continue
		}
		if currency != s.S && !f.sameCurrency(currency, s.S) {
			return 0, "", false
		}
		before := total
		if t.minus {
			total -= v
			ok = (total < before) == (v > 0)
		} else {
			total += v
			ok = (total > before) == (v > 0)
		}
		if !ok {
			return 0, "", f.fits(false)
		}
	}
	return total, currency, true
}

// multiply is checked; most factors are small.
func multiply(a, b int64) (int64, bool) {
	if int64(int32(a)) == a && int64(int32(b)) == b {
		return a * b, true
	}
	return intOperation(check.Mul)(a, b)
}

// sums compiles a linear expression of more than one term; nil for others.
func sums(n *check.Node) []term {
	switch n.Op {
	case check.Add, check.Sub, check.Mul:
		if terms, ok := linear(n); ok {
			return terms
		}
	default:
	}
	return nil
}
