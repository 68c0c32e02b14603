package program

import (
	"cmp"
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

// leaf compiles a test of values.
func leaf(n *check.Node, negate bool) Cond {
	op := n.Op
	if other, ok := opposite[op]; ok {
		if negate {
			op = other
		}
		return comparison(op, n.Args[0], n.Args[1])
	}
	want := !negate
	switch op {
	case check.InInts:
		return inInts(ints(n.Args[0]), n.Ints, want)
	case check.InStrings:
		slot := n.Args[0].Slot
		if few := newFewTexts(n.Set); few != nil && ofFact(n.Args[0]) {
			return func(f *Frame) bool { s := &f.Record.Slots[slot]; return s.OK && few.has(s.S) == want }
		}
		value, set := texts(n.Args[0]), newTextSet(n.Set)
		if ofFact(n.Args[0]) {
			return func(f *Frame) bool { s := &f.Record.Slots[slot]; return s.OK && set.has(s.S) == want }
		}
		return func(f *Frame) bool {
			s, ok := value(f)
			return ok && set.has(s) == want
		}
	case check.InList:
		return inList(n, want)
	case check.InNets:
		return inNets(n, want)
	case check.InElements:
		return inElements(n.Args[0], n.Args[1], want)
	case check.Matches:
		if slot, regex := n.Args[0].Slot, n.Regex; ofFact(n.Args[0]) {
			return func(f *Frame) bool { s := &f.Record.Slots[slot]; return s.OK && regex.MatchString(s.S) == want }
		}
		return textTest(texts(n.Args[0]), want, n.Regex.MatchString)
	default:
	}
	return stringTest(op, n.Args[0], n.Args[1], want)
}

// ofFact reports whether a node is a field of the fact.
func ofFact(n *check.Node) bool { return n.Op == check.Field && n.Depth == 0 }

func inInts(value func(*Frame) (int64, bool), set map[int64]struct{}, want bool) Cond {
	if len(set) > 8 {
		return func(f *Frame) bool {
			v, ok := value(f)
			if !ok {
				return false
			}
			_, in := set[v]
			return in == want
		}
	}
	members := make([]int64, 0, len(set))
	for v := range set {
		members = append(members, v)
	}
	return func(f *Frame) bool {
		v, ok := value(f)
		if !ok {
			return false
		}
		for _, member := range members {
			if v == member {
				return want
			}
		}
		return !want
	}
}

// textTest is a test of one string.
func textTest(value func(*Frame) (string, bool), want bool, test func(string) bool) Cond {
	return func(f *Frame) bool {
		s, ok := value(f)
		return ok && test(s) == want
	}
}

// stringTest is contains, starts_with or ends_with.
func stringTest(op check.Op, a, b *check.Node, want bool) Cond {
	test := strings.Contains
	switch op {
	case check.StartsWith:
		test = strings.HasPrefix
	case check.EndsWith:
		test = strings.HasSuffix
	default:
	}
	x, y := texts(a), texts(b)
	if c := b.Value.S; b.Op == check.Const && a.Op == check.Field && a.Depth == 0 {
		return textSlotTest(op, a.Slot, c, want)
	}
	return func(f *Frame) bool {
		s, ok := x(f)
		if !ok {
			return false
		}
		part, ok := y(f)
		return ok && test(s, part) == want
	}
}

// textSlotTest is contains, starts_with or ends_with of a string of the fact and
// a constant. Outer bytes, compared as a number, exclude most texts.
func textSlotTest(op check.Op, i int, c string, want bool) Cond {
	word, mask := (&affixed{suffix: op == check.EndsWith}).key(c)
	switch op {
	case check.StartsWith:
		return func(f *Frame) bool {
			s := &f.Record.Slots[i]
			if len(s.S) >= wordBytes && load64(s.S)&mask != word {
				return !want
			}
			return s.OK && strings.HasPrefix(s.S, c) == want
		}
	case check.EndsWith:
		return func(f *Frame) bool {
			s := &f.Record.Slots[i]
			if n := len(s.S); n >= wordBytes && load64(s.S[n-wordBytes:])&mask != word {
				return !want
			}
			return s.OK && strings.HasSuffix(s.S, c) == want
		}
	default:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && strings.Contains(s.S, c) == want }
	}
}

// inNets is `in cidr`.
func inNets(n *check.Node, want bool) Cond {
	if subject := n.Args[0]; subject.Addr > 0 {
		number, slot, set := subject.Addr, subject.Slot, newNets(n.Nets)
		return func(f *Frame) bool {
			if !f.Record.Slots[slot].OK {
				return false
			}
			if a := f.parsed(number, slot); a.is4 {
				return set.has4(a.v4) == want
			}
			return set.has(f.address(number, slot)) == want
		}
	}
	value, set := texts(n.Args[0]), newNets(n.Nets)
	return func(f *Frame) bool {
		s, ok := value(f)
		return ok && set.has(list.ParseAddr(s)) == want
	}
}

// inList is `in list`. The list may be swapped between events.
func inList(n *check.Node, want bool) Cond {
	subject, ref := n.Args[0], n.List
	if subject.Addr == 0 {
		value := texts(subject)
		return func(f *Frame) bool {
			s, ok := value(f)
			return ok && ref.Get().Has(s) == want
		}
	}
	slot, number := subject.Slot, subject.Addr
	return func(f *Frame) bool {
		s := &f.Record.Slots[slot]
		if !s.OK {
			return false
		}
		list := ref.Get()
		in := list.HasText(s.S)
		if !in && list.HasRanges() {
			address, ok := f.address(number, slot)
			in = ok && list.HasAddr(address)
		}
		return in == want
	}
}

// inElements is `value in list_field`.
func inElements(a, elements *check.Node, want bool) Cond {
	var equal func(*Frame, *fact.Slot) (same, known bool)
	switch a.Type.Kind {
	case fact.String:
		value := texts(a)
		equal = func(f *Frame, s *fact.Slot) (bool, bool) { v, ok := value(f); return v == s.S, ok }
	case fact.Money:
		value := amounts(a)
		equal = func(f *Frame, s *fact.Slot) (bool, bool) {
			v, currency, ok := value(f)
			return v == s.N && currency == s.S, ok
		}
	case fact.Float:
		value := floats(a)
		equal = func(f *Frame, s *fact.Slot) (bool, bool) { v, ok := value(f); return v == slotFloat(s), ok }
	default:
		value := ints(a)
		equal = func(f *Frame, s *fact.Slot) (bool, bool) { v, ok := value(f); return v == s.N, ok }
	}
	depth, slot := elements.Depth, elements.Slot
	return func(f *Frame) bool {
		list := f.slot(depth, slot)
		if _, known := equal(f, list); !list.OK || !known {
			return false
		}
		for at := list.First(); at != 0; at = int(f.Record.Slots[at].N) {
			elem := &f.Record.Slots[at+1]
			if same, _ := equal(f, elem); elem.OK && same {
				return want
			}
		}
		return !want
	}
}

// comparison compiles == != < <= > >=.
func comparison(op check.Op, a, b *check.Node) Cond {
	switch a.Type.Kind {
	case fact.String:
		if b.Op == check.Const {
			if a.Op == check.Field && (op == check.Eq || op == check.Ne) {
				return equalSlot(op == check.Eq, a.Depth, a.Slot, b.Value.S)
			}
			return compareConst(op, texts(a), b.Value.S)
		}
		return compare(op, texts(a), texts(b))
	case fact.Float:
		if b.Op == check.Const {
			if a.Op == check.Field && a.Depth == 0 {
				return compareFloatSlot(op, a.Slot, slotFloat(&b.Value))
			}
			return compareConst(op, floats(a), slotFloat(&b.Value))
		}
		return compare(op, floats(a), floats(b))
	case fact.Int, fact.Duration, fact.Money:
		if held := sumWithin(op, a, b); held != nil {
			return held
		}
		if b.Op != check.Const {
			if held := balance(op, a, b, func() Cond { return compareAny(op, a, b) }); held != nil {
				return held
			}
		}
	default:
	}
	return compareAny(op, a, b)
}

// compareAny compares whole numbers or amounts, whatever they are made of.
func compareAny(op check.Op, a, b *check.Node) Cond {
	if a.Type.Kind == fact.Money {
		if b.Op == check.Const && a.Op == check.Field {
			return moneySlot(op, a.Depth, a.Slot, b.Value)
		}
		return compareMoney(op, amounts(a), amounts(b))
	}
	if b.Op == check.Const {
		if a.Op == check.Field {
			return compareSlot(op, a.Depth, a.Slot, b.Value.N)
		}
		return compareConst(op, ints(a), b.Value.N)
	}
	return compare(op, ints(a), ints(b))
}

// equalSlot tests a string for being a constant. Of one that is not long its
// ends are all there is to it.
func equalSlot(want bool, depth, i int, c string) Cond {
	if depth > 0 {
		return func(f *Frame) bool { s := f.slot(depth, i); return s.OK && (s.S == c) == want }
	}
	if len(c) > longText {
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && (s.S == c) == want }
	}
	length := len(c)
	first, last := textEnds(c)
	return func(f *Frame) bool {
		s := &f.Record.Slots[i]
		if len(s.S) != length {
			return s.OK && !want
		}
		head, tail := textEnds(s.S)
		return s.OK && ((head^first)|(tail^last) == 0) == want
	}
}

// compareFloatSlot compares a decimal of the fact with a constant.
func compareFloatSlot(op check.Op, i int, c float64) Cond {
	switch op {
	case check.Lt:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && slotFloat(s) < c }
	case check.Le:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && slotFloat(s) <= c }
	case check.Gt:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && slotFloat(s) > c }
	case check.Ge:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && slotFloat(s) >= c }
	default:
		want := op == check.Eq
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && (slotFloat(s) == c) == want }
	}
}

// moneySlot compares an amount with a constant one.
func moneySlot(op check.Op, depth, i int, c fact.Slot) Cond {
	t := test{how: uint8(op), n: c.N}
	low, width, ok := within(op, c.N)
	switch unit := c.S; {
	case depth > 0:
		return func(f *Frame) bool { s := f.slot(depth, i); return s.OK && f.moneyTest(&t, c.S, s) }
	case !ok:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && f.moneyTest(&t, c.S, s) }
	default:
		return func(f *Frame) bool {
			s := &f.Record.Slots[i]
			if !sameText(s.S, unit) {
				return s.OK && f.sameCurrency(s.S, unit)
			}
			return s.OK && uint64(s.N-low) <= width
		}
	}
}

// compareSlot compares a whole number with a constant.
func compareSlot(op check.Op, depth, i int, c int64) Cond {
	if depth > 0 {
		t := test{op: intOps[op], n: c}
		return func(f *Frame) bool { s := f.slot(depth, i); return s.OK && t.holdsOf(s.N) }
	}
	switch op {
	case check.Eq:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N == c }
	case check.Ne:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N != c }
	case check.Lt:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N < c }
	case check.Le:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N <= c }
	case check.Gt:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N > c }
	default:
		return func(f *Frame) bool { s := &f.Record.Slots[i]; return s.OK && s.N >= c }
	}
}

func compareConst[T cmp.Ordered](op check.Op, a func(*Frame) (T, bool), c T) Cond {
	switch op {
	case check.Eq:
		return func(f *Frame) bool { v, ok := a(f); return ok && v == c }
	case check.Ne:
		return func(f *Frame) bool { v, ok := a(f); return ok && v != c }
	case check.Lt:
		return func(f *Frame) bool { v, ok := a(f); return ok && v < c }
	case check.Le:
		return func(f *Frame) bool { v, ok := a(f); return ok && v <= c }
	case check.Gt:
		return func(f *Frame) bool { v, ok := a(f); return ok && v > c }
	default:
		return func(f *Frame) bool { v, ok := a(f); return ok && v >= c }
	}
}

func compare[T cmp.Ordered](op check.Op, a, b func(*Frame) (T, bool)) Cond {
	return func(f *Frame) bool {
		x, ok := a(f)
		if !ok {
			return false
		}
		y, ok := b(f)
		return ok && holds(op, cmp.Compare(x, y))
	}
}

func compareMoney(op check.Op, a, b func(*Frame) (int64, string, bool)) Cond {
	return func(f *Frame) bool {
		x, currency, ok := a(f)
		if !ok {
			return false
		}
		y, other, ok := b(f)
		if !ok {
			return false
		}
		if currency != other {
			f.Unknown.Currency++
			return false
		}
		return holds(op, cmp.Compare(x, y))
	}
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
