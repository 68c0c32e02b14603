package rules

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"github.com/backlot-video/backlot/bench/internal/measure"
	backlot "github.com/backlot-video/backlot/services/rules"
)

const heapGrowth = 400

// loader takes a ruleset from text to where it would judge.
type loader struct {
	name      string
	times     int // in a round
	load      func() error
	cpu, wall time.Duration // of one, the least of the rounds
}

// Load measures how long a set takes from source text to swapped in. What others
// have loaded is gone by then, and of the rules nothing is left but the texts: the
// collector would look through all of it. That is set as in the process of rules,
// for peers, too.
func Load(report *measure.Report, name string, rules []Rule) error {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	}
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Cond = Cond{text: rules[i].text, hoist: rules[i].hoist}
	}
	var current atomic.Pointer[any]
	loaders, err := loaders(rules, &current)
	if err != nil {
		return err
	}
	const rounds = 3
	for range rounds {
		for i := range loaders {
			current.Store(nil)
			if err := loaders[i].run(); err != nil {
				return fmt.Errorf("%s: %w", loaders[i].name, err)
			}
		}
	}
	best, all := loaders[1], map[string]float64{}
	for _, l := range loaders[1:] {
		all[l.name] = milliseconds(l.cpu)
		if l.cpu < best.cpu {
			best = l
		}
	}
	return report.Print(measure.Line{
		Bench: name, Unit: "ms CPU", Ours: milliseconds(loaders[0].cpu), Peer: best.name, PeerValue: milliseconds(best.cpu),
		Extra: []measure.Extra{
			{Name: "wall_ms", Value: milliseconds(loaders[0].wall)},
			{Name: "peer_wall_ms", Value: milliseconds(best.wall)},
			{Name: "source_bytes", Value: len(Source(rules, "V1"))},
			{Name: "peers", Value: all},
		},
	})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (l *loader) run() error {
	runtime.GC()
	began := measure.CPU()
	for range l.times {
		start := time.Now()
		if err := l.load(); err != nil {
			return err
		}
		if wall := time.Since(start); l.wall == 0 || wall < l.wall {
			l.wall = wall
		}
	}
	if cpu := (measure.CPU() - began) / time.Duration(l.times); l.cpu == 0 || cpu < l.cpu {
		l.cpu = cpu
	}
	return nil
}

func loaders(rules []Rule, current *atomic.Pointer[any]) ([]loader, error) {
	schema, err := Schema()
	if err != nil {
		return nil, err
	}
	options, err := Options(nil)
	if err != nil {
		return nil, err
	}
	source, script := Source(rules, "V1"), gojaSource(rules)
	swap := func(loaded any) { current.Store(&loaded) }
	return []loader{
		{name: "ours", times: 10, load: func() error {
			program, err := backlot.Compile("bench", source, schema, options)
			swap(program)
			return err
		}},
		{name: engineNames[Expr], times: 1, load: func() error {
			programs, err := exprPrograms(rules, exprEnv(&Event{}))
			swap(programs)
			return err
		}},
		{name: engineNames[CEL], times: 1, load: func() error {
			programs, err := celPrograms(rules)
			swap(programs)
			return err
		}},
		{name: engineNames[JS], times: 1, load: func() error {
			program, err := goja.Compile("rules.js", script, true)
			if err != nil {
				return err
			}
			runtime := goja.New()
			if err := runtime.Set("cards", runtime.NewArray()); err != nil {
				return err
			}
			_, err = runtime.RunProgram(program)
			swap(runtime)
			return err
		}},
	}, nil
}
