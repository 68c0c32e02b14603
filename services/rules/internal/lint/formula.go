package lint

import (
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// junction joins the parts of a formula.
type junction uint8

const (
	leaf junction = iota
	all           // true where all parts are; without parts always
	some          // true where a part is; without parts never
)

// formula is a condition with `not` pushed to its leaves. Each leaf restricts
// one variable to a set of values; a variable is what a test reads, or a test
// as a whole, and may be missing. So a formula is either true or false: three-
// valued logic is in the sets.
type formula struct {
	junction junction
	parts    []*formula
	variable *variable // of a leaf
	set      set
	presence bool        // of a leaf that is `is missing` or its negation
	node     *check.Node // where it stands in the source; nil where it does not
	negated  bool        // it is true where node is known to be false
}

// variable is what conditions restrict: an operand, or a test that is not
// understood, which is 1 where it is true and 0 where it is false.
type variable struct {
	id     int
	key    string
	domain set
	text   string // of the operand in the source
	limits string // what is known of its values, in words; may be empty
}

// set is where a variable may be: missing, or one of values.
type set struct {
	missing bool
	values  values
}

func (s set) meet(t set) set         { return set{s.missing && t.missing, s.values.meet(t.values)} }
func (s set) empty() bool            { return !s.missing && s.values.empty() }
func (s set) within(t set) bool      { return (!s.missing || t.missing) && s.values.within(t.values) }
func (s set) complement() set        { return set{!s.missing, s.values.complement()} }
func present(s set) set              { return set{false, s.values} }
func (f *formula) shown() bool       { return f.node != nil && f.node.Source != nil }
func (f *formula) span() syntax.Span { return f.node.Source.ExprSpan() }

// complement is true where f is not: where it is false or unknown.
func (f *formula) complement() *formula {
	g := &formula{junction: f.junction, variable: f.variable, presence: f.presence, node: f.node, negated: f.negated}
	switch f.junction {
	case leaf:
		g.set = f.set.complement()
		return g
	case all:
		g.junction = some
	case some:
		g.junction = all
	}
	for _, part := range f.parts {
		g.parts = append(g.parts, part.complement())
	}
	return g
}

// conj is a conjunction: a set for each of some variables.
type conj []restriction

type restriction struct {
	variable *variable
	set      set
}

// with adds a restriction; ok is false where that leaves nothing.
func (c conj) with(v *variable, s set) (next conj, ok bool) {
	for i := range c {
		if c[i].variable == v {
			next = append(conj{}, c...)
			next[i].set = c[i].set.meet(s)
			return next, !next[i].set.empty()
		}
	}
	s = v.domain.meet(s)
	return append(c[:len(c):len(c)], restriction{v, s}), !s.empty()
}

// implies tells that c is surely within d.
func (c conj) implies(d conj) bool {
	for _, r := range d {
		found := false
		for i := range c {
			if c[i].variable == r.variable {
				found = c[i].set.within(r.set)
				break
			}
		}
		if !found && !r.variable.domain.within(r.set) {
			return false
		}
	}
	return true
}

// Limits of taking a condition apart; beyond them nothing is said of it.
const (
	maxCases        = 200 // conjunctions
	maxRestrictions = 200 // of one of them
)

// cases are conjunctions one of which holds wherever f and start do; those that
// cannot hold are left out. ok is false where there would be too many.
func (f *formula) cases(start conj) (out []conj, ok bool) {
	switch f.junction {
	case leaf:
		if c, ok := start.with(f.variable, f.set); ok {
			return []conj{c}, true
		}
		return nil, true
	case all:
		out = []conj{start}
		for _, part := range f.parts {
			var next []conj
			for _, c := range out {
				found, ok := part.cases(c)
				next = append(next, found...)
				if !ok || len(next) > maxCases || len(c) > maxRestrictions {
					return nil, false
				}
			}
			out = next
		}
		return out, true
	default:
		for _, part := range f.parts {
			found, ok := part.cases(start)
			out = append(out, found...)
			if !ok || len(out) > maxCases {
				return nil, false
			}
		}
		return out, true
	}
}

// never tells that f is surely true nowhere.
func (f *formula) never() bool {
	cases, ok := f.cases(nil)
	return ok && len(cases) == 0
}

// always tells that f is surely true wherever what it reads is there. Where it
// asks whether something is missing, that may be.
func (f *formula) always() bool {
	start := conj{}
	asked := map[*variable]bool{}
	f.visit(func(leaf *formula) { asked[leaf.variable] = asked[leaf.variable] || leaf.presence })
	for v, presence := range asked {
		if presence {
			continue
		}
		var ok bool
		if start, ok = start.with(v, present(v.domain)); !ok {
			return false
		}
	}
	cases, ok := f.complement().cases(start)
	return ok && len(cases) == 0
}

// implies tells that g is surely true wherever f is.
func (f *formula) implies(g *formula) bool {
	both := &formula{junction: all, parts: []*formula{f, g.complement()}}
	return both.never()
}

// visit calls fn for each leaf.
func (f *formula) visit(fn func(*formula)) {
	if f.junction == leaf {
		fn(f)
	}
	for _, part := range f.parts {
		part.visit(fn)
	}
}
