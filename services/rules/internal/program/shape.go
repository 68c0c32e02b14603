package program

import "github.com/backlot-video/backlot/services/rules/internal/check"

// shape is a test of a stencil's conditions: what they all have in common.
type shape struct {
	met  bool // else no test of it has been made
	part part // the first one
	prior
	plan *facetPlan // the facet that it asks; nil: none so far
}

// remember keeps a test for others of its shape.
func (b *parts) remember(n *check.Node, p *part, prior prior) {
	if n.Shape == 0 {
		return
	}
	for len(b.shapes) <= int(n.Shape) {
		b.shapes = append(b.shapes, shape{})
	}
	p.shape = n.Shape
	b.shapes[n.Shape] = shape{met: true, part: *p, prior: prior}
}

// known makes the part of a test whose shape has been met; ok
// is false for others.
func (b *parts) known(n *check.Node, negate bool) (i int32, ok bool) {
	if int(n.Shape) >= len(b.shapes) || !b.shapes[n.Shape].met {
		return 0, false
	}
	s := &b.shapes[n.Shape]
	i = int32(len(b.made))
	b.made = append(b.made, s.part)
	p := &b.made[i]
	t := &p.draft
	b.branches += t.branches()
	if !n.Varies {
		b.tables(t, n)
		if t.memo > 0 {
			b.uses[t.memo].tests++
		}
		return i, true
	}
	switch t.op {
	case opTexts, opNets:
	case opMatches:
		t.ref = b.regexRef(n.Regex)
	case opTextEq, opTextNe, opText, opPrefix, opSuffix, opContains:
		t.ref = b.textOf(n.Args[1].Value.S)
	case opMoney:
		if t.n = n.Args[1].Value.N; n.Args[1].Value.S != b.texts[t.ref].text {
			t.ref = b.textOf(n.Args[1].Value.S)
		}
	default:
		t.n = n.Args[1].Value.N
	}
	b.tables(t, n)
	if t.memo > 0 {
		t.memo = b.memo(n, negate)
	}
	p.estimate = b.estimateTest(p, &s.prior)
	return i, true
}

// asks notes which facet a test of a shape asks.
func (b *parts) asks(p *part, plan *facetPlan) {
	if p.shape > 0 {
		b.shapes[p.shape].plan = plan
	}
}

// asked is the facet that all tests of a shape ask, if that is known. It must
// not depend on their constants, see facetOf.
func (b *parts) asked(p *part) *facetPlan {
	if p.shape == 0 {
		return nil
	}
	plan := b.shapes[p.shape].plan
	switch t := &p.draft; t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn, opFloat, opTextEq, opTexts:
		return plan
	case opPrefix, opSuffix:
		if t.ref != 0 {
			return plan
		}
	case opMoney:
		if plan != nil && plan.key.currency == b.texts[t.ref].text {
			return plan
		}
	default:
	}
	return nil
}
