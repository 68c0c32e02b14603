package lint

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/list"
)

// values is a set of values of one kind, as a condition narrows it down.
type values interface {
	// meet is what both hold, or something larger.
	meet(values) values
	// empty tells that there is surely none.
	empty() bool
	// within tells that each is surely in the other too.
	within(values) bool
	// complement is the rest of the kind. Only sets of one test have one.
	complement() values
}

// numbers are whole numbers, durations, times, enums, bools and, by their
// ordinals, decimals.
type numbers struct{ ints }

func (n numbers) meet(v values) values { return numbers{n.ints.meet(v.(numbers).ints)} }
func (n numbers) empty() bool          { return len(n.ints) == 0 }
func (n numbers) within(v values) bool { return n.ints.within(v.(numbers).ints) }
func (n numbers) complement() values   { return numbers{n.ints.complement()} }

// amounts are money: minor units by currency. rest tells that all amounts of
// all other currencies are in too.
type amounts struct {
	by   map[string]ints
	rest bool
}

func (a amounts) of(currency string) ints {
	if set, ok := a.by[currency]; ok {
		return set
	}
	if a.rest {
		return allInts
	}
	return ints{}
}

func (a amounts) currencies(b amounts) map[string]struct{} {
	all := map[string]struct{}{}
	for currency := range a.by {
		all[currency] = struct{}{}
	}
	for currency := range b.by {
		all[currency] = struct{}{}
	}
	return all
}

func (a amounts) meet(v values) values {
	b := v.(amounts)
	met := amounts{map[string]ints{}, a.rest && b.rest}
	for currency := range a.currencies(b) {
		met.by[currency] = a.of(currency).meet(b.of(currency))
	}
	return met
}

func (a amounts) empty() bool {
	for _, set := range a.by {
		if len(set) > 0 {
			return false
		}
	}
	return !a.rest
}

func (a amounts) within(v values) bool {
	b := v.(amounts)
	for currency, set := range a.by {
		if !set.within(b.of(currency)) {
			return false
		}
	}
	for currency := range b.by {
		if a.rest && !a.of(currency).within(b.by[currency]) {
			return false
		}
	}
	return !a.rest || b.rest
}

func (a amounts) complement() values {
	rest := amounts{map[string]ints{}, !a.rest}
	for currency, set := range a.by {
		rest.by[currency] = set.complement()
	}
	return rest
}

// texts are strings: those of only, or all where it is nil, but none of not,
// and all that pass the tests.
type texts struct {
	only, not map[string]struct{}
	tests     []textTest
}

// textTest is a test of one string, or with want false its negation.
type textTest struct {
	op   check.Op
	part string      // of Contains, StartsWith and EndsWith
	node *check.Node // of Matches, InList and InNets
	key  string
	want bool
}

func (t texts) meet(v values) values {
	u := v.(texts)
	met := texts{only: t.only, not: maps.Clone(t.not), tests: slices.Clone(t.tests)}
	if met.not == nil {
		met.not = map[string]struct{}{}
	}
	maps.Copy(met.not, u.not)
	for _, test := range u.tests {
		if !slices.ContainsFunc(met.tests, func(known textTest) bool { return known.same(test) }) {
			met.tests = append(met.tests, test)
		}
	}
	if met.only == nil {
		met.only = u.only
	} else if u.only != nil {
		met.only = intersect(met.only, u.only)
	}
	if met.only != nil {
		met.only = met.passing()
	}
	return met
}

func intersect(a, b map[string]struct{}) map[string]struct{} {
	both := map[string]struct{}{}
	for s := range a {
		if _, in := b[s]; in {
			both[s] = struct{}{}
		}
	}
	return both
}

// passing are the strings of only that nothing else rules out.
func (t texts) passing() map[string]struct{} {
	left := map[string]struct{}{}
	for s := range t.only {
		_, out := t.not[s]
		fails := slices.ContainsFunc(t.tests, func(test textTest) bool {
			result, known := test.of(s)
			return known && !result
		})
		if !out && !fails {
			left[s] = struct{}{}
		}
	}
	return left
}

func (t texts) empty() bool {
	if t.only != nil {
		return len(t.only) == 0
	}
	for i, a := range t.tests {
		for _, b := range t.tests[i+1:] {
			if a.excludes(b) || b.excludes(a) {
				return true
			}
		}
	}
	return false
}

func (t texts) within(v values) bool {
	u := v.(texts)
	if t.only != nil {
		for s := range t.only {
			if !u.has(s, t.tests) {
				return false
			}
		}
		return true
	}
	if u.only != nil {
		return false
	}
	for s := range u.not {
		_, out := t.not[s]
		if !out && !slices.ContainsFunc(t.tests, func(test textTest) bool { result, known := test.of(s); return known && !result }) {
			return false
		}
	}
	for _, test := range u.tests {
		if !slices.ContainsFunc(t.tests, func(known textTest) bool { return known.implies(test) }) {
			return false
		}
	}
	return true
}

// has tells that s is surely in t, given tests that it is known to pass.
func (t texts) has(s string, passed []textTest) bool {
	if _, out := t.not[s]; out {
		return false
	}
	if t.only != nil {
		if _, in := t.only[s]; !in {
			return false
		}
	}
	for _, test := range t.tests {
		result, known := test.of(s)
		if known && result || slices.ContainsFunc(passed, func(p textTest) bool { return p.same(test) }) {
			continue
		}
		return false
	}
	return true
}

func (t texts) complement() values {
	switch {
	case t.only != nil:
		return texts{not: t.only}
	case len(t.tests) == 1:
		test := t.tests[0]
		test.want = !test.want
		return texts{tests: []textTest{test}}
	}
	if t.not == nil {
		return texts{only: map[string]struct{}{}}
	}
	return texts{only: t.not}
}

func (p textTest) same(q textTest) bool { return p.op == q.op && p.key == q.key && p.want == q.want }

// of applies the test to a string; known is false where the list may change.
func (p textTest) of(s string) (result, known bool) {
	switch p.op {
	case check.Contains:
		return strings.Contains(s, p.part) == p.want, true
	case check.StartsWith:
		return strings.HasPrefix(s, p.part) == p.want, true
	case check.EndsWith:
		return strings.HasSuffix(s, p.part) == p.want, true
	case check.Matches:
		return p.node.Regex.MatchString(s) == p.want, true
	case check.InNets:
		addr, ok := list.ParseAddr(s)
		in := ok && slices.ContainsFunc(p.node.Nets, func(net netip.Prefix) bool { return net.Contains(addr) })
		return in == p.want, true
	default:
		return false, false
	}
}

// excludes tells that no string passes both tests.
func (p textTest) excludes(q textTest) bool {
	negated := q
	negated.want = !q.want
	if p.implies(negated) {
		return true
	}
	if !p.want || !q.want || p.op != q.op {
		return false
	}
	switch p.op {
	case check.StartsWith:
		return !strings.HasPrefix(p.part, q.part) && !strings.HasPrefix(q.part, p.part)
	case check.EndsWith:
		return !strings.HasSuffix(p.part, q.part) && !strings.HasSuffix(q.part, p.part)
	case check.InNets:
		for _, a := range p.node.Nets {
			if slices.ContainsFunc(q.node.Nets, a.Overlaps) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// implies tells that each string that passes p passes q.
func (p textTest) implies(q textTest) bool {
	switch {
	case p.same(q):
		return true
	case p.want != q.want:
		return false
	case !p.want: // not p implies not q where q implies p
		p.want, q.want = true, true
		return q.implies(p)
	}
	found := p.part // what every string that passes p contains
	if p.op == check.Matches {
		found = p.node.Literal
	}
	switch q.op {
	case check.Contains:
		return p.op != check.InNets && p.op != check.InList && strings.Contains(found, q.part)
	case check.StartsWith:
		return p.op == check.StartsWith && strings.HasPrefix(p.part, q.part)
	case check.EndsWith:
		return p.op == check.EndsWith && strings.HasSuffix(p.part, q.part)
	case check.InNets:
		return p.op == check.InNets && !slices.ContainsFunc(p.node.Nets, func(net netip.Prefix) bool { return !covered(net, q.node.Nets) })
	default:
		return false
	}
}

// covered tells that a network lies within one of others.
func covered(net netip.Prefix, others []netip.Prefix) bool {
	return slices.ContainsFunc(others, func(other netip.Prefix) bool {
		return other.Bits() <= net.Bits() && other.Contains(net.Addr())
	})
}
