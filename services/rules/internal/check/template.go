package check

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// template is a condition that was checked and stands for all conditions of a
// stencil: its constants are those of the one that was filled in last.
type template struct {
	when   *Node
	holes  []*Node // by hole of the stencil: what has the constant
	ranges []*Node // whose begin must not be above their end
}

// learned finds what a condition has that others may have differently.
type learned struct {
	shapes *int32 // how many there are
	holes  []syntax.Hole
	nodes  map[syntax.Span]*Node // by hole
	ranges []*Node
}

// Learn makes stencils of the conditions of a rule that was read and checked
// just now, and returns those that are new with their conditions. It leaves a
// rule alone whose conditions may be good only where they stand.
func (c *Checker) Learn(rule *Rule, stencils *syntax.Stencils, source string) []*Node {
	if len(c.faults) > 0 || c.doubles {
		return nil
	}
	terms, nodes := syntax.Terms(rule.Rule.When), []*Node{rule.When}
	if len(terms) > 1 {
		nodes = rule.When.Args
	}
	var added []*Node
	for i, term := range terms {
		found := learned{shapes: &c.shapes}
		when := found.copy(nodes[i])
		stencil := stencils.Add(source, term.ExprSpan(), found.holes)
		if stencil == nil {
			continue
		}
		t := template{when: when, ranges: found.ranges, holes: make([]*Node, len(found.holes))}
		for j, hole := range found.holes { // in the order of the text now
			t.holes[j] = found.nodes[hole.Span]
		}
		c.templates = append(c.templates, t)
		added = append(added, when)
	}
	return added
}

// Fill gives a stencil's condition the constants of another text. It returns
// nil where that has a fault. The condition is valid until the next Fill.
func (c *Checker) Fill(term *syntax.Term) *Node {
	t := &c.templates[term.Number]
	for i, n := range t.holes {
		if !c.fill(n, &term.Fills[i]) {
			return nil
		}
	}
	for _, both := range t.ranges {
		if both.Args[0].Args[1].Value.N > both.Args[1].Args[1].Value.N && both.Args[0].Args[1].Value.S == both.Args[1].Args[1].Value.S {
			return nil
		}
	}
	return t.when
}

// Patterns compiles what fills holes, ahead of Fill, and notes where it is. One
// that has a fault gets no number.
func (c *Checker) Patterns(fills []*syntax.Fill) {
	for _, fill := range fills {
		if number, err := c.pattern(fill.Str); err == nil {
			fill.Int = int64(number) + 1
		}
	}
}

func (c *Checker) fill(n *Node, fill *syntax.Fill) bool {
	switch n.Op {
	case InStrings:
		n.Set = sorted(fill.Strs)
	case InNets:
		prefix, err := list.ParsePrefix(fill.Str)
		if err != nil {
			return false
		}
		n.Nets = append(c.nets.Slice(1), prefix)
	case Matches:
		if fill.Int == 0 {
			return false
		}
		n.Regex = c.compiled[fill.Int-1]
		n.Literal = n.Regex.Literal()
	default:
		n.Value.N, n.Value.S = fill.Int, fill.Str
		if n.Type.Kind == fact.Float {
			n.Value.N = floatBits(fill.Float)
		}
	}
	return true
}

// sorted orders the members of a set, each once, where they are.
func sorted(members []string) []string {
	for i := 1; i < len(members); i++ {
		if members[i-1] >= members[i] {
			slices.Sort(members)
			return slices.Compact(members)
		}
	}
	return members
}

// copy copies a condition, so that it outlives its rule, and finds its holes.
// Those are where the constant is used by a test of its own.
func (f *learned) copy(n *Node) *Node {
	same := f.copyNode(n)
	if n.Op == And || n.Op == Or || n.Op == Not || n.Op == Any || n.Op == All {
		for i, arg := range n.Args {
			if arg.Type.Kind == fact.Bool {
				same.Args[i] = f.copy(arg)
			}
		}
		f.noteRange(n, same)
		return same
	}
	*f.shapes++
	same.Shape = *f.shapes
	same.Varies = f.hole(n, same)
	return same
}

// hole finds the hole of a test. It reports false where there is none.
func (f *learned) hole(n, same *Node) bool {
	switch n.Op {
	case Eq, Ne, Lt, Le, Gt, Ge, StartsWith, EndsWith, Contains:
		if right := n.Args[1]; right.Op == Const && testable(n.Args[0]) {
			if literal, ok := right.Source.(*syntax.Literal); ok {
				return f.note(literal, same.Args[1])
			}
		}
	case InStrings:
		if in, ok := n.Source.(*syntax.In); ok && testable(n.Args[0]) {
			return f.add(syntax.Hole{Span: in.Set.ExprSpan(), Kind: syntax.StringsHole}, same)
		}
	case InNets:
		if in, ok := n.Source.(*syntax.In); ok && testable(n.Args[0]) {
			if set := in.Set.(*syntax.CIDR); !set.Many && set.Elems[0].Kind == syntax.AddressLit {
				return f.add(syntax.Hole{Span: set.Elems[0].Span, Kind: syntax.AddressHole}, same)
			}
		}
	case Matches:
		if binary, ok := n.Source.(*syntax.Binary); ok && testable(n.Args[0]) {
			if literal := binary.Y.(*syntax.Literal); literal.Kind == syntax.RegexLit {
				return f.add(syntax.Hole{Span: literal.Span, Kind: syntax.RegexHole}, same)
			}
		}
	default:
	}
	return false
}

// noteRange notes `in 1..4`, which must not be empty.
func (f *learned) noteRange(n, same *Node) {
	in, ok := n.Source.(*syntax.In)
	if !ok || n.Op != And {
		return
	}
	if _, ok := in.Set.(*syntax.Range); ok && n.Args[0].Args[1].Op == Const && n.Args[1].Args[1].Op == Const {
		if n.Args[0].Args[1].Type.Kind != fact.Float {
			f.ranges = append(f.ranges, same)
		}
	}
}

// testable reports whether a test of a value takes its constant as it is and
// does not keep the node: see package program.
func testable(value *Node) bool {
	if value.Op == Field {
		return true
	}
	return ofFact(value) && varies(value)
}

// ofFact reports whether a value is one of the fact, not of an element.
func ofFact(n *Node) bool {
	return (n.Op != Field || n.Depth == 0) && !slices.ContainsFunc(n.Args, func(arg *Node) bool { return !ofFact(arg) })
}

func varies(n *Node) bool { return n.Op == Field || slices.ContainsFunc(n.Args, varies) }

// constants are the kinds of literals that stay what they are.
var constants = map[syntax.LiteralKind]struct {
	kind fact.Kind
	hole syntax.HoleKind
}{
	syntax.IntLit: {fact.Int, syntax.IntHole}, syntax.FloatLit: {fact.Float, syntax.FloatHole},
	syntax.MoneyLit: {fact.Money, syntax.MoneyHole}, syntax.DurationLit: {fact.Duration, syntax.DurationHole},
	syntax.StringLit: {fact.String, syntax.StringHole},
}

func (f *learned) note(literal *syntax.Literal, n *Node) bool {
	as, ok := constants[literal.Kind]
	return ok && as.kind == n.Type.Kind && f.add(syntax.Hole{Span: literal.Span, Kind: as.hole}, n)
}

func (f *learned) add(hole syntax.Hole, n *Node) bool {
	if f.nodes == nil {
		f.nodes = map[syntax.Span]*Node{}
	}
	f.holes, f.nodes[hole.Span] = append(f.holes, hole), n
	return true
}

// copyNode copies a node and all below it. Of sources only those stay that
// package program looks at.
func (f *learned) copyNode(n *Node) *Node {
	same := *n
	switch source := n.Source.(type) {
	case *syntax.Path:
		same.Source = source.Clone()
	case *syntax.Window: // outlives rules
	default:
		same.Source = nil
	}
	same.Args = make([]*Node, len(n.Args))
	for i, arg := range n.Args {
		same.Args[i] = f.copyNode(arg)
	}
	return &same
}
