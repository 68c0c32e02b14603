package program

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// Cond is a compiled condition.
type Cond func(*Frame) bool

// Compile compiles a condition.
func Compile(n *check.Node) Cond { return cond(n, false) }

// Alone compiles a condition that no index judges. Few need what such a one
// prepares.
func Alone(n *check.Node, rates *rate.Ref) Cond {
	condition := Compile(n)
	if !prepared(n) {
		return condition
	}
	return func(f *Frame) bool {
		f.scratch, f.Rates = f.scratch[:0], rates.Get()
		return condition(f)
	}
}

// prepared tells whether a condition needs the frame's memory for texts, or
// rates.
func prepared(n *check.Node) bool {
	return n.Op == check.Lower || n.Op == check.Convert || slices.ContainsFunc(n.Args, prepared)
}

// Refute compiles the negation of a condition: true when it is known to be
// false.
func Refute(n *check.Node) Cond { return cond(n, true) }

func never(*Frame) bool  { return false }
func always(*Frame) bool { return true }

// cond compiles a condition, or with negate its negation.
func cond(n *check.Node, negate bool) Cond {
	switch n.Op {
	case check.Not:
		return cond(n.Args[0], !negate)
	case check.And, check.Or:
		if within := interval(n, negate); within != nil {
			return within
		}
		parts := make([]Cond, len(n.Args))
		for i, arg := range cheapestFirst(n.Args) {
			parts[i] = cond(arg, negate)
		}
		if (n.Op == check.And) != negate {
			return both(parts)
		}
		return either(parts)
	case check.Any, check.All:
		return quantifier(n, negate)
	case check.IsMissing:
		return missing(n.Args[0], negate)
	case check.Const:
		if (n.Value.N != 0) != negate {
			return always
		}
		return never
	case check.Field:
		return flag(n, negate)
	case check.Default:
		return defaultFlag(n, negate)
	default:
		return leaf(n, negate)
	}
}

// interval is `value in low..high` of a whole number, whose value is computed
// once; nil for other conditions.
func interval(n *check.Node, negate bool) Cond {
	if n.Op != check.And || len(n.Args) != 2 || n.Args[0].Op != check.Ge || n.Args[1].Op != check.Le {
		return nil
	}
	from, to := n.Args[0], n.Args[1]
	if from.Args[0] != to.Args[0] || from.Args[1].Op != check.Const || to.Args[1].Op != check.Const {
		return nil
	}
	switch from.Args[0].Type.Kind {
	case fact.Int, fact.Duration, fact.Time:
	default:
		return nil
	}
	value, low, high := ints(from.Args[0]), from.Args[1].Value.N, to.Args[1].Value.N
	within := func(f *Frame) bool {
		v, ok := value(f)
		return ok && (low <= v && v <= high) != negate
	}
	if at := from.Args[0]; at.Op == check.Hour && ofFact(at.Args[0]) && 0 <= low && low <= high && high < 24 {
		return hours(zoneOf(at.Zone), at.Args[0].Slot, low, high, negate, within)
	}
	return within
}

// cheapestFirst orders conditions by what they cost.
func cheapestFirst(args []*check.Node) []*check.Node {
	return slices.SortedStableFunc(slices.Values(args), func(a, b *check.Node) int { return int(Cost(a) - Cost(b)) })
}

// both is true when all parts are.
func both(parts []Cond) Cond {
	switch len(parts) {
	case 2:
		a, b := parts[0], parts[1]
		return func(f *Frame) bool { return a(f) && b(f) }
	case 3:
		a, b, c := parts[0], parts[1], parts[2]
		return func(f *Frame) bool { return a(f) && b(f) && c(f) }
	}
	return func(f *Frame) bool {
		for _, part := range parts {
			if !part(f) {
				return false
			}
		}
		return true
	}
}

// either is true when one part is.
func either(parts []Cond) Cond {
	switch len(parts) {
	case 2:
		a, b := parts[0], parts[1]
		return func(f *Frame) bool { return a(f) || b(f) }
	case 3:
		a, b, c := parts[0], parts[1], parts[2]
		return func(f *Frame) bool { return a(f) || b(f) || c(f) }
	}
	return func(f *Frame) bool {
		for _, part := range parts {
			if part(f) {
				return true
			}
		}
		return false
	}
}

// flag is a bool field.
func flag(n *check.Node, negate bool) Cond {
	depth, slot, want := n.Depth, n.Slot, int64(1)
	if negate {
		want = 0
	}
	return func(f *Frame) bool {
		s := f.slot(depth, slot)
		return s.OK && s.N == want
	}
}

// defaultFlag is `field default true`.
func defaultFlag(n *check.Node, negate bool) Cond {
	isTrue, isFalse := cond(n.Args[0], negate), cond(n.Args[0], !negate)
	other := cond(n.Args[1], negate)
	return func(f *Frame) bool { return isTrue(f) || !isFalse(f) && other(f) }
}

// missing is `value is missing`.
func missing(n *check.Node, negate bool) Cond {
	if n.Op == check.Field {
		depth, slot := n.Depth, n.Slot
		return func(f *Frame) bool { return f.slot(depth, slot).OK == negate }
	}
	present := presence(n)
	return func(f *Frame) bool { return present(f) == negate }
}

// presence tells whether a value is known.
func presence(n *check.Node) Cond {
	switch n.Type.Kind {
	case fact.Bool:
		return either([]Cond{cond(n, false), cond(n, true)})
	case fact.Float:
		value := floats(n)
		return func(f *Frame) bool { _, ok := value(f); return ok }
	case fact.String:
		value := texts(n)
		return func(f *Frame) bool { _, ok := value(f); return ok }
	case fact.Money:
		value := amounts(n)
		return func(f *Frame) bool { _, _, ok := value(f); return ok }
	case fact.List, fact.Message:
		depth, slot := n.Depth, n.Slot
		return func(f *Frame) bool { return f.slot(depth, slot).OK }
	default:
	}
	value := ints(n)
	return func(f *Frame) bool { _, ok := value(f); return ok }
}

// quantifier is any or all over the elements of a list. The negation of any is
// all of the negation, and the other way round.
func quantifier(n *check.Node, negate bool) Cond {
	outer, slot := n.Args[0].Depth, n.Args[0].Slot
	if tests, ok := elementTests(n.Args[1], n.Depth); ok && outer == 0 && !negate {
		if n.Op == check.Any {
			return someElement(slot, tests)
		}
		return everyElement(slot, tests)
	}
	body, depth := cond(n.Args[1], negate), n.Depth
	some := (n.Op == check.Any) != negate
	return func(f *Frame) bool {
		list := f.slot(outer, slot)
		if !list.OK {
			return false
		}
		for at := list.First(); at != 0; at = int(f.Record.Slots[at].N) {
			f.bases[depth] = at + 1
			if body(f) == some {
				return some
			}
		}
		return !some
	}
}
