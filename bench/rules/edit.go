package rules

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/dop251/goja"

	"github.com/backlot-video/backlot/bench/internal/measure"
	backlot "github.com/backlot-video/backlot/services/rules"
)

// edits is how many rules are edited one after the other.
const edits = 20

// Edit measures how long a set takes to follow an edit of one of its rules.
// Ours gets the whole source, as an editor or a release has it, and finds the
// rule; peers are told which it is. goja has to compile the script again.
func Edit(report *measure.Report, name string, rules []Rule) error {
	events := Measured()
	schema, err := Schema()
	if err != nil {
		return err
	}
	options, err := Options(events)
	if err != nil {
		return err
	}
	program, err := backlot.Compile("bench", Source(rules, "V1"), schema, options)
	if err != nil {
		return err
	}
	edited, fresh := slices.Clone(rules), Generate(edits, 2)
	var cpu, wall, longest time.Duration
	for i, rule := range fresh {
		at := i * 7919 % len(rules)
		rule.Name = edited[at].Name
		edited[at] = rule
		source := Source(edited, "V1")
		runtime.GC()
		before, began := measure.CPU(), time.Now()
		program, err = program.Edit(source, "")
		took := time.Since(began)
		cpu, wall, longest = cpu+measure.CPU()-before, wall+took, max(longest, took)
		if err != nil {
			return err
		}
	}
	set, err := decoded(program, events)
	if err != nil {
		return err
	}
	if _, err := Agree(edited, events, map[string]Set{"ours, edited": set}); err != nil {
		return err
	}
	return reportEdits(report, name, edited, fresh, []time.Duration{cpu, wall, longest})
}

func reportEdits(report *measure.Report, name string, rules, fresh []Rule, took []time.Duration) error {
	peers := map[string]float64{}
	before := measure.CPU()
	if _, err := exprPrograms(fresh, exprEnv(&Event{})); err != nil {
		return err
	}
	peers[engineNames[Expr]+", told the rule"] = milliseconds(measure.CPU()-before) / edits
	before = measure.CPU()
	if _, err := goja.Compile("rules.js", gojaSource(rules), true); err != nil {
		return fmt.Errorf("goja: %w", err)
	}
	peers[engineNames[JS]] = milliseconds(measure.CPU() - before)
	return report.Print(measure.Line{
		Bench: name, Unit: "ms CPU", Ours: milliseconds(took[0]) / edits, Peer: engineNames[JS], PeerValue: peers[engineNames[JS]],
		Extra: []measure.Extra{
			{Name: "wall_ms", Value: milliseconds(took[1]) / edits},
			{Name: "longest_ms", Value: milliseconds(took[2])},
			{Name: "edits", Value: edits},
			{Name: "peers", Value: peers},
		},
	})
}
