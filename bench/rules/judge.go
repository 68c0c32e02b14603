package rules

import (
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// One measures single conditions, which is what peers evaluate, a line for each
// shape, then their mean. The best peer of the mean is the one with the lowest
// mean. Beside it stands the same as a ruleset of one rule, with its decision.
func One(report *measure.Report) error {
	events := Measured()
	engines := slices.Concat([]Engine{{engineNames[Ours], Ours, compileCondition}}, Engines[1:], []Engine{{"as a ruleset", Ours, compileOurs}})
	sums := make([]measure.Result, len(engines))
	for i, shape := range Shapes {
		name := "rules/one/" + shape.Name
		var sets [][]Rule
		for _, rule := range Singles(i) {
			sets = append(sets, []Rule{rule})
		}
		results, matches, err := compare(sets, events, engines, measure.Turns{})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i, r := range results {
			sums[i].Name = r.Name
			sums[i].PerOp += r.PerOp / float64(len(Shapes))
			sums[i].Allocs += r.Allocs / float64(len(Shapes))
		}
		if err := printOne(report, name, results, float64(matches)/float64(len(events)*len(sets))); err != nil {
			return err
		}
	}
	return printOne(report, "rules/one", sums, nil)
}

// printOne prints results whose last is ours as a ruleset.
func printOne(report *measure.Report, name string, results []measure.Result, matches any) error {
	last := len(results) - 1
	return printJudged(report, name, "ns/evaluation", 1, results[:last], matches, measure.Extra{Name: "ruleset", Value: results[last].PerOp})
}

// judgeSet measures a set of rules by its first events.
func judgeSet(report *measure.Report, name string, rules []Rule, events int) error {
	engines, turns := Engines, measure.Turns{}
	if len(rules) > 1000 {
		engines, turns.Rounds = quicker(engines), 3
	}
	results, matches, err := compare([][]Rule{rules}, Measured()[:events], engines, turns)
	if err != nil {
		return err
	}
	return printJudged(report, name, "us/event", 1000, results, float64(matches)/float64(events))
}

// quicker leaves out the engines that are never the best peer.
func quicker(engines []Engine) []Engine {
	return slices.DeleteFunc(slices.Clone(engines), func(e Engine) bool {
		return e.Dialect == Gval || e.Dialect == Expr && e.Name != engineNames[Expr]
	})
}

// compare makes sure that the engines agree on sets of rules, then times them.
func compare(sets [][]Rule, events []Event, engines []Engine, turns measure.Turns) ([]measure.Result, int, error) {
	compiled, total := make([][]Set, len(engines)), 0
	for _, rules := range sets {
		byName := map[string]Set{}
		for i, engine := range engines {
			set, err := engine.Compile(rules, events)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", engine.Name, err)
			}
			byName[engine.Name] = set
			compiled[i] = append(compiled[i], set)
		}
		matches, err := Agree(rules, events, byName)
		if err != nil {
			return nil, 0, err
		}
		total += matches
	}
	cases := make([]measure.Case, len(engines))
	for i, engine := range engines {
		cases[i] = measure.Case{Name: engine.Name, Ops: len(events) * len(sets), Run: func() error {
			for _, set := range compiled[i] {
				if err := set.JudgeAll(); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	results, err := measure.Compare(cases, turns)
	return results, total, err
}

// printJudged prints results, ours first. matches is nil where it means
// nothing.
func printJudged(report *measure.Report, name, unit string, size float64, results []measure.Result, matches any, more ...measure.Extra) error {
	best := measure.Best(results)
	extra := []measure.Extra{{Name: "allocs", Value: results[0].Allocs}, {Name: "peer_allocs", Value: best.Allocs}}
	if matches != nil {
		extra = append(extra, measure.Extra{Name: "matches", Value: matches})
	}
	return report.Print(measure.Line{
		Bench: name, Unit: unit, Ours: results[0].PerOp / size, Peer: best.Name, PeerValue: best.PerOp / size,
		Extra: append(append(extra, more...), measure.All(results, size)),
	})
}
