package tool

import (
	"context"
	"fmt"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/list"
)

var checkVerb = Verb{
	Name: "check", Args: "FILE...", About: "compiles rulesets and tells their faults",
	Examples: []string{
		"check risk.rules", "check --json rules/", "check --descriptors facts.binpb --fact shop.v1.OrderFact risk.rules",
		"check --list datacenters=dc.txt - < risk.rules",
	},
	Run: runCheck,
}

// checked is what check tells of a source.
type checked struct {
	File        string       `json:"file"`
	Rules       int          `json:"rules"`
	Tests       int          `json:"tests"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

func runCheck(_ context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var f facts
	var asJSON bool
	f.register(set)
	set.Bool(&asJSON, "json", false, "print one JSON document")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	sources, err := readSources(rest, std.In)
	if err == nil {
		err = f.load()
	}
	if err != nil {
		return std.fail(verb, err)
	}
	results := make([]checked, len(sources))
	for i := range sources {
		if results[i], err = checkSource(&sources[i], &f); err != nil {
			return std.fail(verb, err)
		}
		if len(results[i].Diagnostics) > 0 {
			code = exitFaults
		}
	}
	if asJSON {
		if err := writeJSON(std.Out, results); err != nil {
			return std.fail(verb, err)
		}
		return code
	}
	std.printChecked(results)
	return code
}

func checkSource(s *source, f *facts) (checked, error) {
	result := checked{File: s.name(), Diagnostics: []diagnostic{}}
	program, _, err := compile(s, f)
	if err != nil {
		return result, err
	}
	if program.faults != nil {
		result.Diagnostics = compileFaults(program.faults)
		return result, nil
	}
	result.Rules, result.Tests = len(program.Rules()), program.Tests()
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
	program, faults := rules.Compile(s.name(), s.text, schema, &rules.Options{Lists: lists})
	return compiled{program, faults}, lists, nil
}

func (std *Stdio) printChecked(results []checked) {
	rules, tests, found := 0, 0, 0
	for _, result := range results {
		for _, d := range result.Diagnostics {
			std.print(std.Out, d)
		}
		rules, tests, found = rules+result.Rules, tests+result.Tests, found+len(result.Diagnostics)
	}
	if found > 0 {
		_, _ = fmt.Fprintf(std.Out, "%s in %s\n", std.paint(red, plural(found, "fault")), plural(len(results), "source"))
		return
	}
	_, _ = fmt.Fprintf(std.Out, "%s: %s, %s, %s\n", std.paint(green, "ok"), plural(len(results), "source"), plural(rules, "rule"), plural(tests, "test"))
}
