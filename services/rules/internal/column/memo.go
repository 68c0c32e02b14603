package column

import (
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// memo is a test that several rules make: each row is tested once a batch, and
// only when a rule gets to it.
type memo struct {
	test   cond
	number int // of its memory in a State
}

// memory is what a memo knows of a batch.
type memory struct {
	known, held Bits
	batch       uint64 // that it is of
}

func (m *memo) cost() int { return 1 + m.test.cost()/2 }

func (m *memo) eval(s *State, b *Batch, sel, out Bits) {
	of := &s.memories[m.number]
	if of.batch != s.batches {
		of.batch = s.batches
		of.known, of.held = sized(of.known, len(sel)), sized(of.held, len(sel))
		clear(of.known)
		clear(of.held)
	}
	mark := len(s.bits)
	fresh := s.alloc(len(sel))
	for w := range fresh {
		fresh[w] = sel[w] &^ of.known[w]
	}
	if fresh.any() {
		found := s.alloc(len(sel))
		m.test.eval(s, b, fresh, found)
		for w := range fresh {
			of.known[w] |= fresh[w]
			of.held[w] |= found[w]
		}
	}
	for w := range out {
		out[w] = sel[w] & of.held[w]
	}
	s.bits = s.bits[:mark]
}

// uses counts the tests of all rules by their keys.
type uses map[string]int

func leafKey(n *check.Node, negate bool) string {
	var key strings.Builder
	if negate {
		key.WriteByte('!')
	}
	writeKey(&key, n)
	return key.String()
}

// count counts the tests of a condition.
func (u uses) count(n *check.Node, negate bool) {
	switch n.Op {
	case check.Not:
		u.count(n.Args[0], !negate)
	case check.And, check.Or:
		for _, arg := range n.Args {
			u.count(arg, negate)
		}
	case check.Const, check.IsMissing:
	default:
		u[leafKey(n, negate)]++
	}
}

// shared compiles a test, as a memo where several rules make it.
func (c *compiler) shared(n *check.Node, negate bool) cond {
	if n.Op == check.IsMissing {
		return c.leaf(n, negate)
	}
	key := leafKey(n, negate)
	if c.uses[key] < 2 {
		return c.leaf(n, negate)
	}
	known, ok := c.memos[key]
	if !ok {
		known = &memo{c.leaf(n, negate), len(c.memos)}
		c.memos[key] = known
	}
	return known
}
