package tool

import (
	"context"
	"fmt"
	"io"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/lint"
	"github.com/backlot-video/backlot/services/rules/list"
)

var checkVerb = Verb{
	Name: "check", Args: "FILE...", About: "compiles rulesets and tells their faults and what is likely wrong",
	Examples: []string{
		"check risk.rules", "check --json rules/", "check --warnings-as-errors rules/",
		"check --descriptors facts.binpb --fact shop.v1.OrderFact risk.rules", "check --list datacenters=dc.txt - < risk.rules",
	},
	Run: func(_ context.Context, verb *Verb, args []string, std *Stdio) int {
		return runCheck(verb, args, std, checkFlags{})
	},
}

var lintVerb = Verb{
	Name: "lint", Args: "FILE...", About: "is check with hints, for which warnings are faults",
	Examples: []string{"lint risk.rules", "lint --names", "lint --json rules/"},
	Run: func(_ context.Context, verb *Verb, args []string, std *Stdio) int {
		return runCheck(verb, args, std, checkFlags{hints: true, strict: true})
	},
}

type checkFlags struct {
	facts
	hints, strict, json, names bool
}

// checked is what check tells of a source.
type checked struct {
	File        string       `json:"file"`
	Rules       int          `json:"rules"`
	Tests       int          `json:"tests"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

func runCheck(verb *Verb, args []string, std *Stdio, c checkFlags) int {
	set := config.New(verb.Name)
	c.register(set)
	set.Bool(&c.json, "json", false, "print one JSON document")
	set.Bool(&c.strict, "warnings-as-errors", c.strict, "warnings are faults: the exit code is 1")
	set.Bool(&c.hints, "hints", c.hints, "tell too what could be simpler or safer, such as rules without a test")
	set.Bool(&c.names, "names", false, "list what warnings and hints there are; # lint:ignore NAME REASON in a source takes one away")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if c.names {
		printNames(std.Out)
		return exitOK
	}
	sources, err := readSources(rest, std.In)
	if err == nil {
		err = c.load()
	}
	if err != nil {
		return std.fail(verb, err)
	}
	results := make([]checked, len(sources))
	for i := range sources {
		if results[i], err = c.check(&sources[i]); err != nil {
			return std.fail(verb, err)
		}
		for _, d := range results[i].Diagnostics {
			if d.Severity == "error" || d.Severity == "warning" && c.strict {
				code = exitFaults
			}
		}
	}
	if c.json {
		if err := writeJSON(std.Out, results); err != nil {
			return std.fail(verb, err)
		}
		return code
	}
	std.printChecked(results, code)
	return code
}

func printNames(w io.Writer) {
	for _, c := range lint.Checks() {
		_, _ = fmt.Fprintf(w, "%-15s %s\n", c.Name, c.About)
	}
}

func (c *checkFlags) check(s *source) (checked, error) {
	result := checked{File: s.name(), Diagnostics: []diagnostic{}}
	program, lists, err := compile(s, &c.facts)
	if err != nil {
		return result, err
	}
	if program.faults != nil {
		result.Diagnostics = compileFaults(program.faults)
		return result, nil
	}
	result.Rules, result.Tests = len(program.Rules()), program.Tests()
	findings, err := lint.Check(s.name(), s.text, program.Schema(), lists)
	if err != nil {
		return result, err
	}
	for i := range findings {
		if f := &findings[i]; f.Severity == lint.Warning || c.hints {
			result.Diagnostics = append(result.Diagnostics, diagnostic{
				File: f.File, Severity: f.Severity.String(), Name: f.Name, Line: f.Line, Column: f.Column,
				Message: f.Message, Help: f.Help, rendered: f.Rendered(),
			})
		}
	}
	return result, nil
}

// compiled is a program, or the faults for which there is none.
type compiled struct {
	*rules.Program
	faults error
}

// compile compiles a source. The error tells that its fact type or lists
// cannot be read.
func compile(s *source, f *facts) (compiled, *list.Registry, error) {
	schema, lists, err := f.of(s.text, s.dir())
	if err != nil {
		return compiled{}, nil, fmt.Errorf("%s: %w", s.name(), err)
	}
	program, faults := rules.Compile(s.name(), s.text, schema, &rules.Options{Lists: lists, Rates: f.dirs[s.dir()].rates})
	return compiled{program, faults}, lists, nil
}

func (std *Stdio) printChecked(results []checked, code int) {
	rules, tests := 0, 0
	found := map[string]int{}
	for _, result := range results {
		for _, d := range result.Diagnostics {
			std.print(std.Out, d)
			found[d.Severity]++
		}
		rules, tests = rules+result.Rules, tests+result.Tests
	}
	summary := std.paint(green, "ok") + ": "
	if code != exitOK {
		summary = std.paint(red, "FAIL") + ": "
	}
	for _, severity := range []string{"error", "warning", "info"} {
		if n := found[severity]; n > 0 {
			noun := map[string]string{"info": "hint"}[severity]
			if noun == "" {
				noun = severity
			}
			summary += plural(n, noun) + ", "
		}
	}
	_, _ = fmt.Fprintf(std.Out, "%s%s, %s, %s\n", summary, plural(len(results), "source"), plural(rules, "rule"), plural(tests, "test"))
}
