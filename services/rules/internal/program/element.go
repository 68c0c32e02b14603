package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// elementTest is a test of a field of an element that needs no operator: its
// number is within a range and its text is one. Of whole numbers and the like
// the text is empty, of money it is the currency; of texts the number is 0.
type elementTest struct {
	slot  int
	low   int64
	width uint64
	text  string
	money bool
}

// elementTests takes a condition on the elements of a depth apart: a conjunction
// of comparisons with constants. ok is false for others.
func elementTests(n *check.Node, depth int) (tests []elementTest, ok bool) {
	if n.Op == check.And {
		for _, arg := range cheapestFirst(n.Args) {
			more, ok := elementTests(arg, depth)
			if !ok {
				return nil, false
			}
			tests = append(tests, more...)
		}
		return tests, true
	}
	if _, compares := opposite[n.Op]; !compares {
		return nil, false
	}
	field, constant := n.Args[0], n.Args[1]
	if field.Op != check.Field || field.Depth != depth || constant.Op != check.Const {
		return nil, false
	}
	t := elementTest{slot: field.Slot}
	switch field.Type.Kind {
	case fact.String:
		t.text = constant.Value.S
		return append(tests, t), n.Op == check.Eq
	case fact.Int, fact.Duration, fact.Time, fact.Enum, fact.Money:
		if t.money = field.Type.Kind == fact.Money; t.money {
			t.text = constant.Value.S
		}
		t.low, t.width, ok = within(n.Op, constant.Value.N)
		return append(tests, t), ok
	default:
		return nil, false
	}
}

// within makes a comparison a range: low and how much more is in it. ok is
// false for what is none, or empty.
func within(op check.Op, c int64) (low int64, width uint64, ok bool) {
	if op == check.Eq {
		return c, 0, true
	}
	t := draft{op: intOps[op], n: c}
	low, high, ok := t.bounds()
	return low, uint64(high) - uint64(low), ok
}

// seems is 1 where a slot's number is in range and its text as long as it is to
// be, else 0: without branches, for elements come in no order that could be
// predicted.
func seems(s *fact.Slot, low int64, width uint64, length int) int {
	so := 0
	if uint64(s.N-low) <= width {
		so = 1
	}
	if len(s.S) != length {
		so = 0
	}
	return so
}

// pass reports whether the element whose slots begin at base passes all tests.
func (f *Frame) pass(tests []elementTest, base int) bool {
	slots, all := f.Record.Slots[base:], 1
	for i := range tests {
		t := &tests[i]
		all &= seems(&slots[t.slot], t.low, t.width, len(t.text))
	}
	return all != 0 && f.confirm(tests, slots)
}

// confirm looks at what seems leaves open: that values are there, and texts.
func (f *Frame) confirm(tests []elementTest, slots []fact.Slot) bool {
	for i := range tests {
		t := &tests[i]
		s := &slots[t.slot]
		if !s.OK {
			return false
		}
		if t.text != "" && !sameText(s.S, t.text) {
			if t.money {
				f.Unknown.Currency++
			}
			return false
		}
	}
	return true
}

// some reports whether an element from the one at a link on passes all tests.
func (f *Frame) some(at int, tests []elementTest) bool {
	for ; at != 0; at = int(f.Record.Slots[at].N) {
		if f.pass(tests, at+1) {
			return true
		}
	}
	return false
}

// every reports whether all elements from the one at a link on pass all tests.
func (f *Frame) every(at int, tests []elementTest) bool {
	for ; at != 0; at = int(f.Record.Slots[at].N) {
		if !f.pass(tests, at+1) {
			return false
		}
	}
	return true
}

// someElement is `any` of tests.
func someElement(list int, tests []elementTest) Cond {
	if len(tests) == 2 && tests[0].isText() != tests[1].isText() {
		return someNamed(list, tests)
	}
	return func(f *Frame) bool { return f.some(f.Record.Slots[list].First(), tests) }
}

// someNamed is `any` of a text and a number. Its loop calls nothing, so that
// what it compares with stays in registers.
func someNamed(list int, tests []elementTest) Cond {
	text, number := &tests[0], &tests[1]
	if !text.isText() {
		text, number = number, text
	}
	named, _, _, length := text.spread()
	slot, low, width, unit := number.spread()
	return func(f *Frame) bool {
		slots := f.Record.Slots
		for at := slots[list].First(); at != 0; at = int(slots[at].N) {
			both := seems(&slots[at+slot], low, width, unit)
			if len(slots[at+named].S) != length {
				both = 0
			}
			if both != 0 {
				return f.some(at, tests)
			}
		}
		return false
	}
}

// everyElement is `all` of tests. Most often an element fails one of two.
func everyElement(list int, tests []elementTest) Cond {
	if len(tests) != 2 {
		return func(f *Frame) bool {
			elements := &f.Record.Slots[list]
			return elements.OK && f.every(elements.First(), tests)
		}
	}
	aSlot, aLow, aWidth, aLength := tests[0].spread()
	bSlot, bLow, bWidth, bLength := tests[1].spread()
	return func(f *Frame) bool {
		slots := f.Record.Slots
		first := slots[list].First()
		for at := first; at != 0; at = int(slots[at].N) {
			if seems(&slots[at+aSlot], aLow, aWidth, aLength)&seems(&slots[at+bSlot], bLow, bWidth, bLength) == 0 {
				return false
			}
		}
		return slots[list].OK && f.every(first, tests)
	}
}

// isText tells a text from a number, which has a text where it is money.
func (t *elementTest) isText() bool { return t.text != "" && !t.money }

// spread is what seems asks for, for registers. The slot is counted from where
// the element begins, one before its first slot.
func (t *elementTest) spread() (slot int, low int64, width uint64, length int) {
	return 1 + t.slot, t.low, t.width, len(t.text)
}

// sameText is == for texts that are mostly equal, and mostly currencies.
func sameText(a, b string) bool {
	if len(a) == 3 && len(b) == 3 {
		return a[0] == b[0] && a[1] == b[1] && a[2] == b[2]
	}
	return a == b
}
