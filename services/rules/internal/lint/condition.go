package lint

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Beyond so many parts of a condition, pairs, or all others, are not looked at.
const (
	maxPairs  = 64
	maxOthers = 12
)

// condition looks at the condition of a rule. It returns whether the rule can
// fire.
func (l *linter) condition(rule *check.Rule, f *formula) bool {
	if f.never() {
		span, why, help := l.blame(f, f)
		l.warn(neverTrue, span, help, "rule '%s' can never fire: %s", rule.Name.Name, why)
		return false
	}
	if f.always() && !literal(f) {
		l.warn(alwaysTrue, f.span(), f.limits(), "rule '%s' fires for every fact%s", rule.Name.Name, f.where())
		return true
	}
	l.parts(f)
	return true
}

// literal tells that a part is written as true or false.
func literal(f *formula) bool {
	x := f.node.Source
	for {
		paren, ok := x.(*syntax.Paren)
		if !ok {
			break
		}
		x = paren.X
	}
	_, ok := x.(*syntax.Literal)
	return ok
}

// limits tells what is known of the operands of a leaf, as help.
func (f *formula) limits() string {
	var known []string
	f.visit(func(leaf *formula) {
		v := leaf.variable
		_, text := v.domain.values.(texts)
		if v.limits != "" && (!text || leaf == f) && !slices.Contains(known, v.limits) {
			known = append(known, v.limits)
		}
	})
	if len(known) > 2 {
		return ""
	}
	return strings.Join(known, "; ")
}

// where names the operands that must be present for a condition to be known.
func (f *formula) where() string {
	var names []string
	unnamed := false
	f.visit(func(leaf *formula) {
		v := leaf.variable
		if !v.domain.missing || leaf.presence || slices.Contains(names, v.text) {
			return
		}
		if v.text == "" {
			unnamed = true
			return
		}
		names = append(names, v.text)
	})
	switch {
	case unnamed:
		return " that has what it reads"
	case len(names) == 0:
		return ""
	case len(names) == 1:
		return " that has " + names[0]
	}
	return " that has " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// blame finds the least part for which f is never true, and tells why; shown is
// the least part around f that stands in the source.
func (l *linter) blame(f, shown *formula) (span syntax.Span, why, help string) {
	if f.shown() {
		shown = f
	}
	if f.junction != leaf {
		for _, part := range f.parts {
			if part.never() {
				return l.blame(part, shown)
			}
		}
	}
	if f.junction == all && len(f.parts) <= maxPairs {
		for i, a := range f.parts {
			for _, b := range f.parts[:i] {
				if a.shown() && b.shown() && (&formula{junction: all, parts: []*formula{a, b}}).never() {
					return a.span(), "'" + short(b.node.Source) + "' and '" + short(a.node.Source) + "' " + exclude(a, b), ""
				}
			}
		}
	}
	return shown.span(), "'" + short(shown.node.Source) + "' " + outcome(shown, "is never true"), shown.limits()
}

// exclude says how two parts exclude each other; within `not` it is the other
// way round.
func exclude(a, b *formula) string {
	if a.negated && b.negated {
		return "are never false together"
	}
	return "exclude each other"
}

func outcome(f *formula, text string) string {
	if f.negated {
		return map[string]string{"is never true": "is always true", "is always true": "is never true"}[text]
	}
	return text
}

// parts looks at the parts of a condition that is neither never nor always true.
func (l *linter) parts(f *formula) {
	if f.junction == leaf {
		l.body(f)
		return
	}
	idle := make([]bool, len(f.parts))
	for i, part := range f.parts {
		idle[i] = l.part(part)
	}
	if len(f.parts) > maxPairs {
		return
	}
	for i, part := range f.parts {
		if !idle[i] && part.shown() && !literal(part) {
			idle[i] = l.redundant(f, i, idle)
		}
	}
}

// part reports a part that is never or always true, and looks into others.
func (l *linter) part(f *formula) (reported bool) {
	if !f.shown() || literal(f) {
		return false
	}
	var name, text string
	switch {
	case f.never():
		name, text = neverTrue, "is never true"
	case f.always():
		name, text = alwaysTrue, "is always true"
	default:
		l.parts(f)
		return false
	}
	said := outcome(f, text)
	if said != text {
		name = map[string]string{neverTrue: alwaysTrue, alwaysTrue: neverTrue}[name]
	}
	where := ""
	if said == "is always true" {
		where = strings.Replace(f.where(), " that has ", " where there is ", 1)
	}
	l.warn(name, f.span(), f.limits(), "'%s' %s%s", short(f.node.Source), said, where)
	return true
}

// redundant reports part i where it changes nothing beside another, or beside
// all others.
func (l *linter) redundant(f *formula, i int, idle []bool) bool {
	part := f.parts[i]
	covers := func(other *formula) bool { // other makes part idle
		if f.junction == all {
			return other.implies(part)
		}
		return part.implies(other)
	}
	var others []*formula
	for j, other := range f.parts {
		if j == i || idle[j] || !other.shown() {
			continue
		}
		others = append(others, other)
		if !covers(other) {
			continue
		}
		mutual := part.implies(other) && other.implies(part)
		if mutual && j > i {
			continue // the later one is reported
		}
		l.reportRedundant(part, "'"+short(other.node.Source)+"'")
		return true
	}
	if len(others) < 2 || len(others) > maxOthers || !covers(&formula{junction: f.junction, parts: others}) {
		return false
	}
	l.reportRedundant(part, "the other parts")
	return true
}

func (l *linter) reportRedundant(part *formula, beside string) {
	if part.junction == leaf && part.presence {
		l.inform(redundant, part.span(), "a test of a missing value is false already",
			"'%s' changes nothing beside %s", short(part.node.Source), beside)
		return
	}
	l.warn(redundant, part.span(), "", "'%s' changes nothing beside %s", short(part.node.Source), beside)
}

// body looks into any and all.
func (l *linter) body(f *formula) {
	n := f.node
	for n.Op == check.Not {
		n = n.Args[0]
	}
	if n.Op != check.Any && n.Op != check.All {
		return
	}
	inner := l.builder.build(n.Args[1], false)
	if inner.shown() {
		l.part(inner)
	}
}
