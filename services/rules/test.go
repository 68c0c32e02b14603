package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// TestResult is the outcome of one test of a source.
type TestResult struct {
	Name     string
	Line     int    // in the source, from 1
	Failure  string // what was expected and found; empty when it passed
	Decision Decision
}

// Test runs the tests of the source. A test sees a canary as live, and starts
// from empty velocity counters; what its `given` says of velocity holds.
func (p *Program) Test() []TestResult {
	results := make([]TestResult, len(p.set.Tests))
	if len(results) == 0 {
		return results
	}
	windows := program.NewWindows(p.set, velocity.New(velocity.Config{}), p.options.Scope)
	for i, test := range p.set.Tests {
		results[i] = p.runTest(test, windows, strconv.Itoa(i))
		results[i].Line = p.testLines[i]
	}
	return results
}

// runTest counts in a part of its own.
func (p *Program) runTest(test *check.Test, windows *program.Windows, part string) TestResult {
	result := TestResult{Name: test.Name.Str}
	frame := program.NewFrame(p.set.Addrs)
	if err := p.layout.Decode(test.Fact, &frame.Record); err != nil {
		result.Failure = err.Error()
		return result
	}
	windows.Run(frame, timeOf(p.set, frame), program.Count{Part: part})
	for slot, value := range test.Windows {
		frame.Set(slot, value)
	}
	d := &result.Decision
	p.judge(frame, d)
	p.settleCanaries(d)
	result.Failure = unexpected(test, d)
	return result
}

// settleCanaries makes canaries that fired count as live.
func (p *Program) settleCanaries(d *Decision) {
	fired := map[*Rule]bool{}
	for _, rule := range d.Fired {
		fired[rule] = true
	}
	for _, rule := range d.Shadow {
		fired[rule] = fired[rule] || rule.State == Canary
	}
	d.Fired, d.Score, d.Action = d.Fired[:0], 0, Allow
	for _, rule := range p.Rules() {
		if fired[rule] {
			d.Fired = append(d.Fired, rule)
			d.Score += rule.Score
			d.Action = max(d.Action, rule.Action)
		}
	}
	d.Shadow = slices.DeleteFunc(d.Shadow, func(rule *Rule) bool { return rule.State == Canary })
}

// unexpected tells how a decision differs from what a test expects.
func unexpected(test *check.Test, d *Decision) string {
	var problems []string
	if d.Action != test.Expect {
		problems = append(problems, fmt.Sprintf("expected %s, got %s", test.Expect, d.Action))
	}
	if test.Score != nil && test.Score.Int != d.Score {
		problems = append(problems, fmt.Sprintf("expected score %d, got %d", test.Score.Int, d.Score))
	}
	for _, name := range test.Because {
		named := func(rule *Rule) bool { return rule.Name == name.Name }
		if !slices.ContainsFunc(d.Fired, named) && !slices.ContainsFunc(d.Shadow, named) {
			problems = append(problems, "rule "+name.Name+" did not fire")
		}
	}
	if len(problems) == 0 {
		return ""
	}
	return strings.Join(problems, "; ") + "; fired: " + ruleNames(d.Fired)
}

func ruleNames(rules []*Rule) string {
	if len(rules) == 0 {
		return "nothing"
	}
	names := make([]string, len(rules))
	for i, rule := range rules {
		names[i] = rule.Name
	}
	return strings.Join(names, ", ")
}
