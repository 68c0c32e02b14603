package column

import (
	"cmp"
	"math"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/list"
)

// opposite is the comparison that is true when another is false.
var opposite = map[check.Op]check.Op{
	check.Eq: check.Ne, check.Ne: check.Eq, check.Lt: check.Ge,
	check.Ge: check.Lt, check.Gt: check.Le, check.Le: check.Gt,
}

// mirrored is the comparison with its sides exchanged.
var mirrored = map[check.Op]check.Op{
	check.Eq: check.Eq, check.Ne: check.Ne, check.Lt: check.Gt,
	check.Gt: check.Lt, check.Le: check.Ge, check.Ge: check.Le,
}

// leaf compiles a test of values: by a kernel where there is one.
func (c *compiler) leaf(n *check.Node, negate bool) cond {
	var kernel cond
	switch {
	case n.Op == check.Field:
		kernel = flag(n, negate)
	case n.Op == check.IsMissing:
		kernel = presence(n.Args[0], negate)
	case opposite[n.Op] != 0:
		op, left, right := n.Op, n.Args[0], n.Args[1]
		if negate {
			op = opposite[op]
		}
		if left.Op == check.Const {
			op, left, right = mirrored[op], right, left
		}
		kernel = c.comparison(op, left, right)
	case n.Op == check.InInts && column(n.Args[0]):
		kernel = inInts(n, negate)
	case n.Op == check.Any || n.Op == check.All || n.Op == check.InElements || n.Op == check.Default:
	default:
		kernel = c.textLeaf(n, negate)
	}
	if kernel == nil {
		return c.row(n, negate)
	}
	return kernel
}

// column reports whether a node is a field of the fact itself.
func column(n *check.Node) bool { return n.Op == check.Field && n.Depth == 0 }

// comparison compiles the comparison of a column with a constant.
func (c *compiler) comparison(op check.Op, left, right *check.Node) cond {
	if right.Op != check.Const {
		return nil
	}
	value := right.Value
	switch left.Type.Kind {
	case fact.String:
		return c.text(left, true, func(s string) bool { return holds(op, strings.Compare(s, value.S)) })
	case fact.Money:
		if !column(left) {
			return nil
		}
		amount := &intTest{interval: intervalOf(op, value.N), slot: left.Slot}
		currency := &textTest{slot: left.Slot, want: true, number: c.tables, test: func(s string) bool { return s == value.S }}
		c.tables++
		return &moneyTest{amount, currency}
	case fact.Float:
		if !column(left) {
			return nil
		}
		return &floatTest{left.Slot, op, math.Float64frombits(uint64(value.N))}
	default:
	}
	if !column(left) {
		return nil
	}
	return &intTest{interval: intervalOf(op, value.N), slot: left.Slot}
}

// holds tells whether a comparison is true of operands of this order.
func holds(op check.Op, order int) bool {
	switch op {
	case check.Eq:
		return order == 0
	case check.Ne:
		return order != 0
	case check.Lt:
		return order < 0
	case check.Le:
		return order <= 0
	case check.Gt:
		return order > 0
	default:
		return order >= 0
	}
}

// textLeaf compiles a test of one string with constants.
func (c *compiler) textLeaf(n *check.Node, negate bool) cond {
	var test func(string) bool
	switch n.Op {
	case check.InStrings:
		set := n.Strings()
		test = func(s string) bool { _, in := set[s]; return in }
	case check.InList:
		entries := n.List
		test = func(s string) bool { return entries.Get().Has(s) }
	case check.InNets:
		prefixes := n.Nets
		test = func(s string) bool {
			address, ok := list.ParseAddr(s)
			for i := 0; ok && i < len(prefixes); i++ {
				if prefixes[i].Contains(address) {
					return true
				}
			}
			return false
		}
	case check.Matches:
		test = n.Regex.MatchString
	case check.Contains, check.StartsWith, check.EndsWith:
		part := n.Args[1]
		if part.Op != check.Const {
			return nil
		}
		with := map[check.Op]func(string, string) bool{
			check.Contains: strings.Contains, check.StartsWith: strings.HasPrefix, check.EndsWith: strings.HasSuffix,
		}[n.Op]
		test = func(s string) bool { return with(s, part.Value.S) }
	default:
		return nil
	}
	return c.text(n.Args[0], !negate, test)
}

// intTest is a whole number in an interval.
type intTest struct {
	interval
	slot int
}

func (t *intTest) cost() int { return 5 }

func (t *intTest) eval(s *State, b *Batch, sel, out Bits) {
	c := &b.Cols[t.slot]
	mark := len(s.bits)
	t.ints(c.N, s.present(c, sel), out)
	s.bits = s.bits[:mark]
}

// present returns the rows of sel in which a column has a value.
func (s *State) present(c *Column, sel Bits) Bits {
	both := s.alloc(len(sel))
	for w := range both {
		both[w] = sel[w] & c.OK[w]
	}
	return both
}

// moneyTest is an amount in an interval, in one currency.
type moneyTest struct {
	amount   *intTest
	currency *textTest
}

func (t *moneyTest) cost() int { return 7 }

func (t *moneyTest) eval(s *State, b *Batch, sel, out Bits) {
	mark := len(s.bits)
	known := s.alloc(len(sel))
	t.currency.eval(s, b, sel, known)
	t.amount.ints(b.Cols[t.amount.slot].N, known, out)
	s.bits = s.bits[:mark]
}

func flag(n *check.Node, negate bool) cond {
	if !column(n) {
		return nil
	}
	want := int64(1)
	if negate {
		want = 0
	}
	return &intTest{interval{low: want}, n.Slot}
}

// missingTest is a column without, or with present with, a value.
type missingTest struct {
	slot    int
	present bool
}

func presence(n *check.Node, negate bool) cond {
	if !column(n) {
		return nil
	}
	return &missingTest{n.Slot, negate}
}

func (t *missingTest) cost() int { return 0 }

func (t *missingTest) eval(_ *State, b *Batch, sel, out Bits) {
	ok := b.Cols[t.slot].OK
	for w := range out {
		if t.present {
			out[w] = sel[w] & ok[w]
		} else {
			out[w] = sel[w] &^ ok[w]
		}
	}
}

// floatTest compares a decimal with a constant.
type floatTest struct {
	slot  int
	op    check.Op
	value float64
}

func (t *floatTest) cost() int { return 20 }

func (t *floatTest) eval(s *State, b *Batch, sel, out Bits) {
	c := &b.Cols[t.slot]
	mark := len(s.bits)
	known := s.present(c, sel)
	op, value, numbers := t.op, t.value, c.N
	rows(known, out, func(row int) bool {
		return holds(op, cmp.Compare(math.Float64frombits(uint64(numbers[row])), value))
	})
	s.bits = s.bits[:mark]
}

// intsTest is a whole number in a set.
type intsTest struct {
	slot int
	set  map[int64]struct{}
	want bool
}

// inInts compiles `in [1, 2, 3]`; numbers without a gap are an interval.
func inInts(n *check.Node, negate bool) cond {
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for v := range n.Ints {
		low, high = min(low, v), max(high, v)
	}
	if uint64(high)-uint64(low) == uint64(len(n.Ints)-1) {
		t := &intTest{between(low, high), n.Args[0].Slot}
		t.outside = negate
		return t
	}
	return &intsTest{n.Args[0].Slot, n.Ints, !negate}
}

func (t *intsTest) cost() int { return 60 }

func (t *intsTest) eval(s *State, b *Batch, sel, out Bits) {
	c := &b.Cols[t.slot]
	mark := len(s.bits)
	rows(s.present(c, sel), out, func(row int) bool {
		_, in := t.set[c.N[row]]
		return in == t.want
	})
	s.bits = s.bits[:mark]
}
