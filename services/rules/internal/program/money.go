package program

import (
	"math"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// amounts compiles money as minor units and currency. A duration is given too,
// with no currency, for ratios.
func amounts(n *check.Node) func(*Frame) (int64, string, bool) {
	if n.Type.Kind != fact.Money {
		value := ints(n)
		return func(f *Frame) (int64, string, bool) { v, ok := value(f); return v, "", ok }
	}
	if terms := sums(n); terms != nil {
		return func(f *Frame) (int64, string, bool) { return f.sum(terms) }
	}
	switch n.Op {
	case check.Const:
		v := n.Value
		return func(*Frame) (int64, string, bool) { return v.N, v.S, true }
	case check.Field:
		depth, slot := n.Depth, n.Slot
		return func(f *Frame) (int64, string, bool) { s := f.slot(depth, slot); return s.N, s.S, s.OK }
	case check.Default:
		a, b := amounts(n.Args[0]), amounts(n.Args[1])
		return func(f *Frame) (int64, string, bool) {
			if v, currency, ok := a(f); ok {
				return v, currency, true
			}
			return b(f)
		}
	case check.Neg, check.Abs:
		a, abs := amounts(n.Args[0]), n.Op == check.Abs
		return func(f *Frame) (int64, string, bool) {
			v, currency, ok := a(f)
			if !ok || abs && v >= 0 {
				return v, currency, ok
			}
			return -v, currency, f.fits(v != math.MinInt64)
		}
	case check.Convert:
		return converted(amounts(n.Args[0]), n.Value.S)
	default:
	}
	if n.Args[0].Type.Kind == fact.Money && n.Args[1].Type.Kind == fact.Money {
		return sameMoney(n)
	}
	return scaledMoney(n)
}

// converted is an amount in another currency, by the rates of the judgement.
func converted(amount func(*Frame) (int64, string, bool), to string) func(*Frame) (int64, string, bool) {
	return func(f *Frame) (int64, string, bool) {
		v, from, ok := amount(f)
		if !ok {
			return 0, "", false
		}
		v, result := f.Rates.Convert(v, from, to)
		if result == rate.NoRate {
			f.Unknown.Rate++
			return 0, "", false
		}
		return v, to, f.fits(result == rate.OK)
	}
}

// sameMoney is + - min max of two amounts of one currency.
func sameMoney(n *check.Node) func(*Frame) (int64, string, bool) {
	a, b, operate := amounts(n.Args[0]), amounts(n.Args[1]), intOperation(n.Op)
	return func(f *Frame) (int64, string, bool) {
		x, currency, ok := a(f)
		if !ok {
			return 0, "", false
		}
		y, other, ok := b(f)
		if !ok || !f.sameCurrency(currency, other) {
			return 0, "", false
		}
		v, ok := operate(x, y)
		return v, currency, f.fits(ok)
	}
}

// scaledMoney is an amount times or by a whole number.
func scaledMoney(n *check.Node) func(*Frame) (int64, string, bool) {
	amount, factor := n.Args[0], n.Args[1]
	if factor.Type.Kind == fact.Money {
		amount, factor = factor, amount
	}
	a, b, operate := amounts(amount), ints(factor), intOperation(n.Op)
	return func(f *Frame) (int64, string, bool) {
		x, currency, ok := a(f)
		if !ok {
			return 0, "", false
		}
		y, ok := b(f)
		if !ok {
			return 0, "", false
		}
		v, ok := operate(x, y)
		return v, currency, f.fits(ok)
	}
}
