package rules

import (
	"sync"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// tracer tells the values of sub-expressions. It keeps the trees that a
// program lets go of, so it is made only when it is asked for.
type tracer struct {
	set     *check.Set
	windows *program.Windows
	probes  map[string][]program.Probe // by rule
}

func (p *Program) lazyTracer() func() (*tracer, error) {
	return sync.OnceValues(func() (*tracer, error) {
		file, faults := syntax.Parse(p.source)
		if len(faults) > 0 {
			return nil, newErrors(p.name, p.source, faults)
		}
		set, faults := check.Check(file, p.schema, p.options.Lists)
		if len(faults) > 0 { // a list was deleted meanwhile
			return nil, newErrors(p.name, p.source, faults)
		}
		t := &tracer{
			set: set, windows: program.NewWindows(set, p.options.Counters, p.options.Scope),
			probes: map[string][]program.Probe{},
		}
		for _, rule := range set.Rules {
			t.probes[rule.Name.Name] = program.Probes(rule.When)
		}
		return t, nil
	})
}

// trace tells the values that a fact just judged gave the sub-expressions of
// all rules. Counters are read again, not counted.
func (p *Program) trace(data []byte, d *Decision, request *Request) {
	t, err := p.tracer()
	if err != nil {
		d.Trace = append(d.Trace, Step{Expression: "trace", Value: "cannot be had: " + err.Error()})
		return
	}
	frame := program.NewFrame(t.set.Addrs)
	frame.Rates = p.options.Rates.Get()
	if t.set.Layout.Decode(data, &frame.Record) != nil {
		return // the fact was decoded before
	}
	t.windows.Run(frame, timeOf(t.set, frame), program.Count{Part: request.Part, EventID: request.EventID, ReadOnly: true})
	for _, rule := range p.Rules() {
		for _, probe := range t.probes[rule.Name] {
			d.Trace = append(d.Trace, Step{rule.Name, probe.Text, probe.Value(frame)})
		}
	}
}
