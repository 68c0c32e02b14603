package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// intOps are the tests of whole numbers by comparison.
var intOps = [...]opcode{
	check.Eq: opIntEq, check.Ne: opIntNe, check.Lt: opIntLt, check.Le: opIntLe, check.Gt: opIntGt, check.Ge: opIntGe,
}

// mirrored is the comparison with its operands exchanged.
var mirrored = [...]check.Op{
	check.Eq: check.Eq, check.Ne: check.Ne, check.Lt: check.Gt, check.Le: check.Ge, check.Gt: check.Lt, check.Ge: check.Le,
}

// leaf makes the part of a condition without parts.
func (b *parts) leaf(n *check.Node, negate bool) int32 {
	if i, known := b.known(n, negate); known {
		return i
	}
	if b.constant(n) {
		return constPart(cond(n, negate)(b.fixed))
	}
	switch op := n.Op; op {
	case check.Field:
		i := b.slotTest(n, draft{op: opFlag, n: flagValue(!negate)})
		b.remember(n, &b.made[i], prior{})
		return i
	case check.IsMissing:
		if n.Args[0].Op == check.Field {
			return b.slotTest(n.Args[0], draft{op: opPresent, want: negate})
		}
	case check.Any, check.All:
		return b.quantifier(n, negate)
	case check.Eq, check.Ne, check.Lt, check.Le, check.Gt, check.Ge:
		if negate {
			op = opposite[op]
		}
		left, right := n.Args[0], n.Args[1]
		if b.constant(left) {
			left, right, op = right, left, mirrored[op]
		}
		if b.constant(right) {
			return b.compared(n, negate, op, left, right)
		}
	case check.InInts:
		return b.simple(n, negate, n.Args[0], draft{op: opInts, want: !negate})
	case check.InStrings:
		return b.simple(n, negate, n.Args[0], draft{op: opTexts, want: !negate})
	case check.InList:
		return b.simple(n, negate, n.Args[0], draft{op: opList, want: !negate, ref: b.listRef(n.List), n: int64(n.Args[0].Addr)})
	case check.InNets:
		return b.simple(n, negate, n.Args[0], draft{op: opNets, want: !negate, n: int64(n.Args[0].Addr)})
	case check.Matches:
		return b.simple(n, negate, n.Args[0], draft{op: opMatches, want: !negate, ref: b.regexRef(n.Regex)})
	case check.StartsWith, check.EndsWith, check.Contains:
		if part := n.Args[1]; part.Op == check.Const {
			return b.simple(n, negate, n.Args[0], draft{op: textOps[op], want: !negate, ref: b.textOf(part.Value.S)})
		}
	default:
	}
	return b.closure(n, negate)
}

var textOps = [...]opcode{check.StartsWith: opPrefix, check.EndsWith: opSuffix, check.Contains: opContains}

func flagValue(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// constant reports whether a value needs no fact.
func (b *parts) constant(n *check.Node) bool {
	switch n.Op {
	case check.Const:
		return true
	case check.Field, check.Any, check.All, check.Convert: // rates change
		return false
	default:
	}
	for _, arg := range n.Args {
		if !b.constant(arg) {
			return false
		}
	}
	return len(n.Args) > 0
}

// compared is a value against a constant.
func (b *parts) compared(n *check.Node, negate bool, op check.Op, left, right *check.Node) int32 {
	c := right.Value
	if right.Op != check.Const {
		c = derive(right)(b.fixed)
	}
	if !c.OK {
		return falsePart // unknown, whichever way it is asked
	}
	t := draft{how: uint8(op), n: c.N}
	switch left.Type.Kind {
	case fact.String:
		t.op, t.ref = opText, b.textOf(c.S)
		switch op {
		case check.Eq:
			t.op = opTextEq
		case check.Ne:
			t.op = opTextNe
		default:
		}
	case fact.Float:
		t.op = opFloat
	case fact.Money:
		t.op, t.ref = opMoney, b.textOf(c.S)
	default:
		t.op = intOps[op]
	}
	return b.simple(n, negate, left, t)
}

// simple is a test of one value: a slot's, or one that is derived into a slot.
// Where it is neither, a closure tests it.
func (b *parts) simple(n *check.Node, negate bool, value *check.Node, t draft) int32 {
	i, p := b.single(t)
	switch value.Op {
	case check.Field:
		p.slot, p.depth = int32(value.Slot), uint8(value.Depth)
	default:
		slot, ok := b.derive(value)
		if !ok {
			return b.closure(n, negate)
		}
		p.slot, p.n = int32(slot), t.n
		b.branches++
		if t.op == opList || t.op == opNets {
			p.n = 0 // no field of the fact: the address is parsed each time
		}
	}
	b.tables(&p.draft, n)
	if t.op > opSlow && p.depth == 0 {
		p.memo = b.memo(n, negate)
	}
	prior := b.priorOf(&p.draft, value)
	p.estimate = b.estimateTest(p, &prior)
	b.remember(n, p, prior)
	return i
}

// tables adds the constants of a test that do not fit into it.
func (b *parts) tables(t *draft, n *check.Node) {
	switch t.op {
	case opInts:
		b.code.ints = append(b.code.ints, newIntSet(n.Ints))
		t.ref = int32(len(b.code.ints) - 1)
	case opTexts:
		b.sets = append(b.sets, memberSet{n.Set, int32(len(b.members))})
		for _, member := range n.Set {
			b.members = append(b.members, ended(member))
		}
		t.ref = int32(len(b.sets) - 1)
	case opNets:
		b.prefixes = append(b.prefixes, n.Nets)
		t.ref = int32(len(b.prefixes) - 1)
	default:
	}
}

// slotTest is a test of a field as it is.
func (b *parts) slotTest(field *check.Node, t draft) int32 {
	t.slot, t.depth = int32(field.Slot), uint8(field.Depth)
	i, p := b.single(t)
	prior := b.priorOf(&p.draft, field)
	p.estimate = b.estimateTest(p, &prior)
	return i
}

// quantifier is any or all over the elements of a list. The negation of any is
// all of the negation, and the other way round.
func (b *parts) quantifier(n *check.Node, negate bool) int32 {
	list, each := n.Args[0], b.enter(n)
	inside := b.of(n.Args[1], negate)
	t := draft{op: opAny, want: (n.Op == check.Any) != negate, slot: int32(list.Slot), depth: uint8(list.Depth), n: int64(n.Depth)}
	if list.Depth == 0 {
		t.memo = b.memo(n, negate)
	}
	i, p := b.single(t)
	inner := b.made[inside].estimate
	p.first, p.ref = inside, int32(len(b.bodies))
	b.bodies = append(b.bodies, body{each: each, part: i})
	p.cost = 10 + each*(5+inner.cost)
	if t.want {
		p.likely = someLikely(inner.likely, each)
	} else {
		p.likely = everyLikely(inner.likely, each)
	}
	return i
}

// assumedQuick is how many elements lists are taken to have.
const assumedQuick = 3

// closure tests what no opcode can.
func (b *parts) closure(n *check.Node, negate bool) int32 {
	b.code.conds = append(b.code.conds, cond(n, negate))
	i, p := b.single(draft{op: opCond, ref: int32(len(b.code.conds) - 1), memo: b.memo(n, negate)})
	p.estimate = estimate{likely: 0.4, cost: 6 + float64(Cost(n))}
	return i
}

// holdsOf compares a whole number with the test's.
func (t *test) holdsOf(v int64) bool {
	switch t.op {
	case opIntEq:
		return v == t.n
	case opIntNe:
		return v != t.n
	case opIntLt:
		return v < t.n
	case opIntLe:
		return v <= t.n
	case opIntGt:
		return v > t.n
	default:
		return v >= t.n
	}
}

// moneyTest compares an amount with a constant.
func (f *Frame) moneyTest(t *test, unit string, s *fact.Slot) bool {
	if s.S != unit {
		f.Unknown.Currency++
		return false
	}
	switch check.Op(t.how) {
	case check.Eq:
		return s.N == t.n
	case check.Ne:
		return s.N != t.n
	case check.Lt:
		return s.N < t.n
	case check.Le:
		return s.N <= t.n
	case check.Gt:
		return s.N > t.n
	default:
		return s.N >= t.n
	}
}
