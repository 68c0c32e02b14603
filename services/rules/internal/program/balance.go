package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// difference is what one linear expression is above another one.
type difference struct {
	fields []weight
	more   int64
	unit   string // of the amounts among its constants; empty: there are none
	money  bool
}

// weight is a field of the fact times a small factor.
type weight struct {
	slot   int
	factor int64
}

// maxWeights is how many small numbers times small factors have a sum that
// fits, with a small number on top.
const maxWeights = 4

// balance compares linear expressions, such as `refunds * 3` and `failed - 4`, by
// the range that their difference is in; nil for others. Where that might not
// fit, or currencies differ, exact compares them.
func balance(op check.Op, a, b *check.Node, exact func() Cond) Cond {
	low, width, ok := within(op, 0)
	if !ok {
		return nil
	}
	d := differenceOf(a, b)
	if d == nil {
		return nil
	}
	low -= d.more
	careful := exact()
	switch fields, money := d.fields, d.money; {
	case len(fields) == 2 && d.unit == "":
		first, second, times, more := fields[0].slot, fields[1].slot, fields[0].factor, fields[1].factor
		return func(f *Frame) bool {
			x, y := &f.Record.Slots[first], &f.Record.Slots[second]
			if small(x.N, y.N) && (!money || sameText(x.S, y.S)) {
				return x.OK && y.OK && uint64(x.N*times+y.N*more-low) <= width
			}
			return careful(f)
		}
	case len(fields) == 3 && !money:
		first, second, third := fields[0].slot, fields[1].slot, fields[2].slot
		a, b, c := fields[0].factor, fields[1].factor, fields[2].factor
		return func(f *Frame) bool {
			x, y, z := &f.Record.Slots[first], &f.Record.Slots[second], &f.Record.Slots[third]
			if small(x.N, y.N) && small(z.N, 0) {
				return x.OK && y.OK && z.OK && uint64(x.N*a+y.N*b+z.N*c-low) <= width
			}
			return careful(f)
		}
	}
	return func(f *Frame) bool {
		if sum, known, fits := d.of(f); fits {
			return known && uint64(sum-low) <= width
		}
		return careful(f)
	}
}

// differenceOf takes two linear expressions apart; nil for others, and for what
// is too much for a difference.
func differenceOf(a, b *check.Node) *difference {
	left, ok := linear(a)
	if !ok {
		return nil
	}
	right, ok := linear(b)
	if !ok {
		return nil
	}
	d := &difference{money: a.Type.Kind == fact.Money}
	for i := range right {
		right[i].minus = !right[i].minus
	}
	for _, t := range append(left, right...) {
		if !d.add(&t) {
			return nil
		}
	}
	return d
}

// add takes a term in; it reports false where that is too much.
func (d *difference) add(t *term) bool {
	sign := int64(1)
	if t.minus {
		sign = -1
	}
	if t.slot >= 0 {
		d.fields = append(d.fields, weight{t.slot, sign * t.factor})
		return t.small() && len(d.fields) <= maxWeights
	}
	if d.money && d.unit != "" && d.unit != t.value.S || !small(t.value.N, d.more) {
		return false
	}
	d.unit, d.more = t.value.S, d.more+sign*t.value.N
	return true
}

// of is the difference of the fields of a fact. fits is false where that takes
// more care.
func (d *difference) of(f *Frame) (sum int64, known, fits bool) {
	known = true
	unit := d.unit
	for i, w := range d.fields {
		s := &f.Record.Slots[w.slot]
		if i == 0 && unit == "" {
			unit = s.S
		}
		if !small(s.N, 0) || !sameText(s.S, unit) {
			return 0, false, false
		}
		known = known && s.OK
		sum += s.N * w.factor
	}
	return sum, known, true
}
