// Package lint finds what is likely wrong in rulesets that compile: conditions
// that are never or always true, rules that others make idle, lists that no
// rule uses. A comment `# lint:ignore NAME REASON` takes a finding away.
//
//	findings, err := lint.Check("risk.rules", source, schema, nil)
//	for _, finding := range findings {
//		fmt.Println(finding.Rendered())
//	}
//
// What it says of truth is proved, so it may miss things but is never wrong.
// It is pure and safe for concurrent use.
package lint

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/lint"
	"github.com/backlot-video/backlot/services/rules/internal/snippet"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// Severity tells how much a finding matters.
type Severity = lint.Severity

// The severities. An Info is a hint; a Warning tells of what surely does not do
// what was meant.
const (
	Info    = lint.Info
	Warning = lint.Warning
)

// Finding is one thing that is likely wrong. Lines and columns count from 1,
// columns in characters; the end is the place after the last character.
type Finding struct {
	Name               string // as in Checks
	Severity           Severity
	File               string
	Line, Column       int
	EndLine, EndColumn int
	Message            string
	Help               string // what to do; may be empty

	rendered string
}

// Error returns the position and message on one line.
func (f *Finding) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Severity, f.Message)
}

// Rendered shows the finding with its line, a mark under it and help.
func (f *Finding) Rendered() string { return f.rendered }

// Check looks through a source. lists holds those that the source does not
// define itself; it may be nil. The error is a rules.Errors where the source
// does not compile.
func Check(name, source string, schema *fact.Schema, lists *list.Registry) ([]Finding, error) {
	file, faults := syntax.Parse(source)
	var set *check.Set
	if len(faults) == 0 {
		set, faults = check.Check(file, schema, lists)
	}
	if len(faults) > 0 {
		_, err := rules.Compile(name, source, schema, &rules.Options{Lists: lists})
		return nil, err
	}
	lines := snippet.NewLines(source)
	found := lint.Check(file, set, schema)
	findings := make([]Finding, len(found))
	for i, f := range found {
		findings[i] = Finding{
			Name: f.Name, Severity: f.Severity, File: name, Message: f.Message, Help: f.Help,
			rendered: lines.Render(name, f.Severity.String(), f.Message+" ["+f.Name+"]", f.Help, f.Span),
		}
		findings[i].Line, findings[i].Column = lines.Place(f.Span.Start)
		findings[i].EndLine, findings[i].EndColumn = lines.Place(f.Span.End)
	}
	return findings, nil
}

// About is the name of a finding and what it means.
type About struct{ Name, About string }

// Checks returns the names of all findings.
func Checks() []About {
	all := make([]About, len(lint.Checks))
	for i, c := range lint.Checks {
		all[i] = About(c)
	}
	return all
}
