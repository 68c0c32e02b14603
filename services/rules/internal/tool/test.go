package tool

import (
	"context"
	"fmt"
	"regexp"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules"
)

var testVerb = Verb{
	Name: "test", Args: "FILE...", About: "runs the tests that rulesets hold",
	Examples: []string{"test risk.rules", "test --run 'night|gift' -v rules/", "test --json rules/ > results.json"},
	Run:      runTest,
}

type testFlags struct {
	facts
	run           string
	verbose, json bool
}

// tested is the outcome of the tests of a source.
type tested struct {
	File        string        `json:"file"`
	Diagnostics []diagnostic  `json:"diagnostics,omitempty"` // why there are no tests
	Tests       []testOutcome `json:"tests"`
}

type testOutcome struct {
	Name    string   `json:"name"`
	Line    int      `json:"line"`
	Passed  bool     `json:"passed"`
	Failure string   `json:"failure,omitempty"`
	Verdict string   `json:"verdict"`
	Score   int64    `json:"score"`
	Fired   []string `json:"fired"`
}

func runTest(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var c testFlags
	c.register(set)
	set.String(&c.run, "run", "", "`pattern` (RE2) of the names of tests to run; empty: all")
	set.Bool(&c.verbose, "verbose", false, "tell of tests that pass too")
	set.Bool(&c.verbose, "v", false, "the same as --verbose")
	set.Bool(&c.json, "json", false, "print one JSON document")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	wanted, err := regexp.Compile(c.run)
	if err != nil {
		return std.fail(verb, fmt.Errorf("--run: %w", err))
	}
	sources, err := readSources(rest, std.In)
	if err == nil {
		err = c.load()
	}
	if err != nil {
		return std.fail(verb, err)
	}
	results := make([]tested, len(sources))
	for i := range sources {
		if err := ctx.Err(); err != nil {
			return std.fail(verb, err)
		}
		if results[i], err = testSource(&sources[i], &c.facts, wanted); err != nil {
			return std.fail(verb, err)
		}
		if results[i].failed() {
			code = exitFaults
		}
	}
	if c.json {
		if err := writeJSON(std.Out, results); err != nil {
			return std.fail(verb, err)
		}
		return code
	}
	std.printTested(results, c.verbose)
	return code
}

func testSource(s *source, f *facts, wanted *regexp.Regexp) (tested, error) {
	result := tested{File: s.name(), Tests: []testOutcome{}}
	program, _, err := compile(s, f)
	if err != nil {
		return result, err
	}
	if program.faults != nil {
		result.Diagnostics = compileFaults(program.faults)
		return result, nil
	}
	for _, r := range program.Test() {
		if wanted.MatchString(r.Name) {
			result.Tests = append(result.Tests, outcome(&r))
		}
	}
	return result, nil
}

func outcome(r *rules.TestResult) testOutcome {
	o := testOutcome{
		Name: r.Name, Line: r.Line, Passed: r.Failure == "", Failure: r.Failure,
		Verdict: r.Decision.Action.String(), Score: r.Decision.Score, Fired: []string{},
	}
	for _, rule := range r.Decision.Fired {
		o.Fired = append(o.Fired, rule.Name)
	}
	return o
}

func (t *tested) failed() bool {
	for _, o := range t.Tests {
		if !o.Passed {
			return true
		}
	}
	return len(t.Diagnostics) > 0
}

func (std *Stdio) printTested(results []tested, verbose bool) {
	passed, failed, broken := 0, 0, 0
	for _, result := range results {
		for _, d := range result.Diagnostics {
			std.print(std.Out, d)
		}
		if len(result.Diagnostics) > 0 {
			broken++
		}
		for _, o := range result.Tests {
			switch {
			case !o.Passed:
				failed++
				_, _ = fmt.Fprintf(std.Out, "%s %s:%d %q\n     %s\n", std.paint(red, "FAIL"), result.File, o.Line, o.Name, o.Failure)
				continue
			case verbose:
				_, _ = fmt.Fprintf(std.Out, "%s %s:%d %q\n", std.paint(green, "pass"), result.File, o.Line, o.Name)
			}
			passed++
		}
	}
	switch {
	case broken > 0:
		_, _ = fmt.Fprintf(std.Out, "%s: %s of %s cannot be compiled; ", std.paint(red, "FAIL"), plural(broken, "source"), plural(len(results), "source"))
	case failed > 0:
		_, _ = fmt.Fprintf(std.Out, "%s: ", std.paint(red, "FAIL"))
	default:
		_, _ = fmt.Fprintf(std.Out, "%s: ", std.paint(green, "ok"))
	}
	_, _ = fmt.Fprintf(std.Out, "%s passed, %d failed\n", plural(passed, "test"), failed)
}
