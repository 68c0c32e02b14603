// Package lint finds what is likely wrong in rulesets that compile.
//
//	lint.go       Check and the names of what it finds
//	build.go      conditions to formulas over sets of values
//	formula.go    formulas: never true, always true, one implies another
//	values.go ints.go  sets of values
//	condition.go  what is wrong within a condition
//	pairs.go      rules that make other rules idle
//	usage.go      what nothing uses: lists, fields of tests, rules without a test
//	literal.go    constants: entries twice, patterns that need none, what is deprecated
//	ignore.go     `# lint:ignore name reason`
//
// What it says of truth is proved, not guessed: a condition becomes sets of
// values of single operands, other tests stay atoms that are equal only to
// themselves. So it misses what depends on more than one operand at a time,
// and is never wrong. It is pure, and safe for concurrent use.
package lint

import (
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Severity tells how much a finding matters.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // could be simpler or safer
	Warning                 // does surely not do what was meant
)

// String returns "info" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "info"
}

// Finding is one thing that is likely wrong.
type Finding struct {
	Name     string // of Checks
	Severity Severity
	Span     syntax.Span
	Message  string
	Help     string // what to do; may be empty
}

// Checks are the names of all findings with what they mean.
var Checks = []struct{ Name, About string }{
	{neverTrue, "a condition, or a part of it, that no fact can meet"},
	{alwaysTrue, "a condition, or a part of it, that every fact meets in which what it reads is present"},
	{redundant, "a part of a condition that changes nothing beside another"},
	{duplicate, "a rule with the condition of another"},
	{shadowed, "a rule without a score that never changes the verdict, since another fires whenever it does and asks for as much"},
	{contradiction, "a rule that allows what another denies"},
	{idleAllow, "an allow rule that changes nothing: allow is the verdict where nothing fires"},
	{unusedList, "a list of the source that no rule uses"},
	{unusedGiven, "a field that a test gives and no rule reads"},
	{untested, "a rule that fires in no test"},
	{repeatedEntry, "an entry of a list or of `in` that another covers"},
	{simplePattern, "a pattern that starts_with, ends_with, contains, == or in can replace"},
	{deprecated, "a field or a member of an enum that its proto file calls deprecated"},
	{badIgnore, "a comment lint:ignore without a known name, without a reason or without effect"},
}

// The names.
const (
	neverTrue     = "never-true"
	alwaysTrue    = "always-true"
	redundant     = "redundant"
	duplicate     = "duplicate"
	shadowed      = "shadowed"
	contradiction = "contradiction"
	idleAllow     = "idle-allow"
	unusedList    = "unused-list"
	unusedGiven   = "unused-given"
	untested      = "untested"
	repeatedEntry = "repeated-entry"
	simplePattern = "simple-pattern"
	deprecated    = "deprecated"
	badIgnore     = "bad-ignore"
)

// linter gathers the findings of one source.
type linter struct {
	file     *syntax.File
	set      *check.Set
	schema   *fact.Schema
	builder  builder
	findings []Finding
}

// Check looks through a source that compiles. The findings are in the order of
// the source. It does not change set.
func Check(file *syntax.File, set *check.Set, schema *fact.Schema) []Finding {
	l := &linter{file: file, set: set, schema: schema, builder: builder{map[string]*variable{}}}
	subjects := make([]subject, 0, len(set.Rules))
	for _, rule := range set.Rules {
		f := l.builder.build(rule.When, false)
		if l.condition(rule, f) {
			subjects = append(subjects, l.subject(rule, f))
		}
		l.constants(rule.When)
	}
	slices.SortStableFunc(subjects, func(a, b subject) int { return int(a.rule.Span.Start - b.rule.Span.Start) })
	l.pairs(subjects)
	l.usage()
	l.entries()
	l.ignore()
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return int(a.Span.Start - b.Span.Start) })
	return l.findings
}

func (l *linter) warn(name string, span syntax.Span, help, format string, args ...any) {
	l.findings = append(l.findings, Finding{name, Warning, span, fmt.Sprintf(format, args...), help})
}

func (l *linter) inform(name string, span syntax.Span, help, format string, args ...any) {
	l.findings = append(l.findings, Finding{name, Info, span, fmt.Sprintf(format, args...), help})
}

// short is an expression for a message.
func short(x syntax.Expr) string {
	text := []rune(syntax.Text(x))
	if len(text) > 60 {
		return string(text[:57]) + "..."
	}
	return string(text)
}
