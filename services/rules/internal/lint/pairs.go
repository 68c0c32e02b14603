package lint

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Limits of comparing rules.
const (
	maxComparisons = 2_000_000 // pairs compared in full; the rest is left out
	maxFiled       = 1_000     // values of a set that are filed
)

// subject is a rule whose condition is compared with those of others.
type subject struct {
	rule  *check.Rule
	cases []conj
	ok    bool   // cases are all
	reads uint64 // a bit for each variable that all cases restrict
}

func (l *linter) subject(rule *check.Rule, f *formula) subject {
	s := subject{rule: rule, reads: ^uint64(0)}
	s.cases, s.ok = f.cases(nil)
	for _, c := range s.cases {
		var bits uint64
		for _, r := range c {
			bits |= 1 << (r.variable.id % 64)
		}
		s.reads &= bits
	}
	return s
}

// within tells that b fires wherever a does.
func (a *subject) within(b *subject) bool {
	if b.reads&^a.reads != 0 {
		return false
	}
	for _, c := range a.cases {
		found := false
		for _, d := range b.cases {
			if c.implies(d) {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// place is a value of a variable.
type place struct {
	variable *variable
	text     string
	number   int64
}

// places are the values of a restriction to few; nil where there are many.
func (r *restriction) places() []place {
	if r.set.missing {
		return nil
	}
	var all []place
	switch v := r.set.values.(type) {
	case texts:
		if len(v.only) > maxFiled {
			return nil
		}
		for text := range v.only {
			all = append(all, place{variable: r.variable, text: text})
		}
	case numbers:
		for _, part := range v.ints {
			if uint64(part.hi)-uint64(part.lo) > 64 || len(v.ints) > maxFiled {
				return nil
			}
			for n := part.lo; ; n++ {
				all = append(all, place{variable: r.variable, number: n})
				if n == part.hi {
					break
				}
			}
		}
	}
	return all
}

// shelf finds rules that may fire wherever another does.
type shelf struct {
	filed map[place][]int // under each value of a variable that a case admits
	rest  []int           // a case admits too many
}

func newShelf(subjects []subject) *shelf {
	s := &shelf{filed: map[place][]int{}}
	for i := range subjects {
		if b := &subjects[i]; b.ok && b.rule.State == syntax.Live {
			s.file(b, i)
		}
	}
	return s
}

func (s *shelf) file(b *subject, i int) {
	var all []place
	for _, c := range b.cases {
		var found []place
		for j := range c {
			if places := c[j].places(); places != nil && (found == nil || len(places) < len(found)) {
				found = places
			}
		}
		if found == nil {
			s.rest = append(s.rest, i)
			return
		}
		all = append(all, found...)
	}
	for _, place := range all {
		s.filed[place] = append(s.filed[place], i)
	}
}

// candidates calls fn for the rules that may fire wherever a does, until fn
// returns false. If they do, one of their cases holds the first of a, and so
// each of its values.
func (s *shelf) candidates(a *subject, fn func(int) bool) {
	for _, i := range s.rest {
		if !fn(i) {
			return
		}
	}
	if len(a.cases) == 0 {
		return
	}
	first := a.cases[0]
	for j := range first {
		places := first[j].places()
		if len(places) == 0 {
			continue
		}
		fewest := s.filed[places[0]]
		for _, place := range places[1:] {
			if filed := s.filed[place]; len(filed) < len(fewest) {
				fewest = filed
			}
		}
		for _, i := range fewest {
			if !fn(i) {
				return
			}
		}
	}
}

// pairs reports rules that others make idle, each at most once. Rules in
// shadow are on trial and make nobody idle.
func (l *linter) pairs(subjects []subject) {
	compared := 0
	shelf := newShelf(subjects)
	for i := range subjects {
		a := &subjects[i]
		l.allows(a)
		if !a.ok || a.rule.State == syntax.Shadow {
			continue
		}
		best := -1 // the first in the source that makes a idle
		var finding Finding
		shelf.candidates(a, func(j int) bool {
			b := &subjects[j]
			if i == j || b.reads&^a.reads != 0 || best >= 0 && j > best {
				return true
			}
			if compared++; compared > maxComparisons {
				return false
			}
			if a.within(b) {
				if f := idle(a, b, i > j); f != nil {
					best, finding = j, *f
				}
			}
			return true
		})
		if best >= 0 {
			l.findings = append(l.findings, finding)
		}
	}
}

// idle is what it means for a that b fires wherever a does; nil: nothing. later
// tells that a stands below b.
func idle(a, b *subject, later bool) *Finding {
	name, other := a.rule.Name.Name, b.rule.Name.Name
	f := &Finding{Severity: Warning, Span: a.rule.Name.Span}
	same := b.within(a)
	switch {
	case a.rule.Action == syntax.Allow && b.rule.Action == syntax.Deny:
		f.Name, f.Message = contradiction, fmt.Sprintf("rule '%s' allows what rule '%s' denies", name, other)
		f.Help = "the strictest action wins: make the condition of the deny rule narrower"
	case a.rule.Action == syntax.Deny && b.rule.Action == syntax.Allow && !same:
		f.Name, f.Message = contradiction, fmt.Sprintf("rule '%s' denies a part of what rule '%s' allows", name, other)
		f.Severity, f.Help = Info, "the strictest action wins: it is denied"
	case same && a.rule.Action == b.rule.Action && a.rule.State == b.rule.State:
		if !later {
			return nil // the later one is reported
		}
		f.Name, f.Message = duplicate, fmt.Sprintf("rule '%s' has the same condition and action as rule '%s'", name, other)
	case a.rule.Action <= b.rule.Action && a.rule.Score == 0 && a.rule.Action != syntax.Allow:
		f.Name = shadowed
		f.Message = fmt.Sprintf("rule '%s' never changes the verdict: rule '%s' fires whenever it does, and asks for %s", name, other, b.rule.Action)
	default:
		return nil
	}
	return f
}

// allows reports an allow rule that changes nothing.
func (l *linter) allows(a *subject) {
	rule := a.rule
	if rule.Action != syntax.Allow || rule.State == syntax.Shadow || rule.Score != 0 {
		return
	}
	l.warn(idleAllow, rule.Name.Span, "the strictest action wins, an exception belongs into the rule that is too strict; a score would count",
		"rule '%s' changes nothing: allow is the verdict where no rule fires", rule.Name.Name)
}
