package column

import (
	"cmp"
	"slices"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// cond is a compiled condition. eval sets in out the rows of sel for which it
// is known to be true, and clears the rest; sel and out are as long as the
// bits of the batch and not the same.
type cond interface {
	eval(s *State, b *Batch, sel, out Bits)
	cost() int // of a row, in about tenths of a nanosecond
}

// compiler compiles conditions of the facts themselves.
type compiler struct {
	uses   uses // of all conditions
	memos  map[string]*memo
	tables int // text tests so far
	chains int // conjunctions and disjunctions so far
}

type constant bool

func (c constant) cost() int { return 0 }

func (c constant) eval(_ *State, _ *Batch, sel, out Bits) {
	if c {
		copy(out, sel)
	} else {
		clear(out)
	}
}

// cond compiles a condition or, with negate, its negation.
func (c *compiler) cond(n *check.Node, negate bool) cond {
	switch n.Op {
	case check.Not:
		return c.cond(n.Args[0], !negate)
	case check.And, check.Or:
		chain := &chain{all: (n.Op == check.And) != negate, number: c.chains}
		c.chains++
		for _, arg := range n.Args {
			chain.add(c.cond(arg, negate))
		}
		return chain.simple()
	case check.Const:
		return constant((n.Value.N != 0) != negate)
	default:
		return c.shared(n, negate)
	}
}

// chain is a conjunction, or without all a disjunction.
type chain struct {
	all    bool
	parts  []cond
	number int // of its order in a State
}

// add adds a part, or the parts of a part of the same kind.
func (c *chain) add(part cond) {
	if inner, ok := part.(*chain); ok && inner.all == c.all {
		c.parts = append(c.parts, inner.parts...)
		return
	}
	c.parts = append(c.parts, part)
}

// simple drops constants and merges tests of one column.
func (c *chain) simple() cond {
	var parts []cond
	for _, part := range c.parts {
		if known, ok := part.(constant); ok {
			if bool(known) != c.all {
				return known
			}
			continue
		}
		if c.all && mergedInto(parts, part) {
			continue
		}
		parts = append(parts, part)
	}
	switch len(parts) {
	case 0:
		return constant(c.all)
	case 1:
		return parts[0]
	}
	c.parts = parts
	return c
}

// mergedInto narrows an interval among parts by another of the same column.
func mergedInto(parts []cond, part cond) bool {
	next, ok := part.(*intTest)
	if !ok || next.outside || next.never {
		return false
	}
	for _, known := range parts {
		t, ok := known.(*intTest)
		if !ok || t.slot != next.slot || t.outside || t.never {
			continue
		}
		low := max(t.low, next.low)
		high := min(t.low+int64(t.span), next.low+int64(next.span))
		if low > high {
			t.interval = interval{never: true}
		} else {
			t.interval = between(low, high)
		}
		return true
	}
	return false
}

func (c *chain) cost() int {
	total := 0
	for _, part := range c.parts {
		total += part.cost()
	}
	return total
}

func (c *chain) eval(s *State, b *Batch, sel, out Bits) {
	order := s.orderOf(c)
	mark := len(s.bits)
	left := s.alloc(len(sel))
	copy(left, sel)
	if !c.all {
		clear(out)
	}
	part := out
	if !c.all {
		part = s.alloc(len(sel))
	}
	undecided := left.Count()
	for _, i := range order.parts {
		if undecided == 0 {
			break
		}
		c.parts[i].eval(s, b, left, part)
		held := part.Count()
		order.seen[i] += undecided
		order.held[i] += held
		if c.all {
			copy(left, part)
			undecided = held
			continue
		}
		undecided -= held
		for w := range out {
			out[w] |= part[w]
			left[w] &^= part[w]
		}
	}
	if c.all {
		copy(out, left)
	}
	s.bits = s.bits[:mark]
}

// order is in which order a chain looks at its parts, and how often they held.
type order struct {
	parts      []int
	seen, held []int
	uses       int
}

// reorder is after how many batches an order is thought over.
const reorder = 64

// orderOf returns the order of a chain, best first: what decides most for its
// cost.
func (s *State) orderOf(c *chain) *order {
	o := s.orders[c.number]
	if o == nil {
		o = &order{seen: make([]int, len(c.parts)), held: make([]int, len(c.parts))}
		for i := range c.parts {
			o.parts = append(o.parts, i)
			o.seen[i], o.held[i] = 4, 1
		}
		s.orders[c.number] = o
	}
	if o.uses%reorder == 0 || o.uses == 2 {
		rank := func(i int) float64 {
			decided := float64(o.held[i]) / float64(o.seen[i])
			if c.all {
				decided = 1 - decided
			}
			return float64(c.parts[i].cost()+1) / (decided + 1e-6)
		}
		slices.SortStableFunc(o.parts, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	}
	o.uses++
	return o
}
