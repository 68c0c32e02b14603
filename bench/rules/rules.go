// Package rules measures the rule engine beside its peers: the same rules and
// events, the same verdicts, the same process.
//
// fact.go and event.go make facts, shape.go and dialect.go conditions in every
// engine's language, generate.go rules; ours.go, expr.go, cel.go, goja.go and
// gval.go run them. The rest are the comparisons; arrow.go has the columnar peer
// of backtest.go.
package rules

import "github.com/backlot-video/backlot/bench/internal/measure"

// Benches are the comparisons of the group.
var Benches = []measure.Bench{
	{Name: "rules/one", Run: One},
	{Name: "rules/set-1000", Run: func(r *measure.Report) error { return judgeSet(r, "rules/set-1000", Generate(1000, 1), 256) }},
	{Name: "rules/set-10000", Run: func(r *measure.Report) error { return judgeSet(r, "rules/set-10000", Generate(10_000, 1), 64) }},
	{Name: "rules/set-hostile", Run: func(r *measure.Report) error { return judgeSet(r, "rules/set-hostile", Hostile(1000, 1), 256) }},
	{Name: "rules/load-10000", Run: func(r *measure.Report) error { return Load(r, "rules/load-10000", Generate(10_000, 1)) }},
	{Name: "rules/edit", Run: func(r *measure.Report) error { return Edit(r, "rules/edit", Generate(10_000, 1)) }},
	{Name: "rules/list", Run: Lists},
	{Name: "rules/velocity", Run: Velocity},
	{Name: "rules/backtest", Run: Backtest},
	{Name: "rules/swap", Run: func(r *measure.Report) error { return Swap(r, "rules/swap", Generate(10_000, 1)) }},
}
