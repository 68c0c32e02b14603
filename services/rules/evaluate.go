package rules

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
)

// Request refines an evaluation. A nil *Request means the default of each
// field.
type Request struct {
	// EventID makes velocity count an event once however often it is judged.
	// Empty: each evaluation counts.
	EventID string
	// Part keeps the velocity of parts, such as tenants, apart.
	Part string
	// ReadOnly leaves the velocity counters as they are.
	ReadOnly bool
	// Trace asks for the values of sub-expressions. It allocates.
	Trace bool
}

// Decision is the verdict on one fact. It may be used again: Evaluate
// overwrites it and keeps the memory of its slices.
type Decision struct {
	Action  Action  // the strictest of Fired; Allow when nothing fired
	Score   int64   // sum over Fired
	Fired   []*Rule // live rules that fired, strictest first
	Shadow  []*Rule // rules in shadow that would have fired
	Trace   []Step
	Ruleset string
	Version string
	Unknown Unknown
}

// Unknown counts values that were unknown though their fields were present.
type Unknown = program.Unknown

// Step is the value of one sub-expression.
type Step struct {
	Rule       string
	Expression string
	Value      string // "missing" when it is unknown
}

// Event is a fact decoded for one program. It may be used again, by one
// goroutine at a time.
type Event struct{ frame program.Frame }

// NewEvent returns an empty event for Decode.
func (p *Program) NewEvent() *Event { return &Event{*program.NewFrame(p.set.Addrs)} }

// Decode reads a fact given as protobuf wire bytes, which must not change
// while the event is in use. Velocity reads as missing until Observe. The
// error is fact.ErrMalformed or fact.ErrTooLarge.
func (p *Program) Decode(data []byte, e *Event) error {
	e.frame.Reset()
	return p.layout.Decode(data, &e.frame.Record)
}

// Observe counts a decoded fact for velocity and reads the counters. A nil
// request means the default of each field.
func (p *Program) Observe(e *Event, request *Request) {
	if request == nil {
		request = &Request{}
	}
	p.windows.Run(&e.frame, timeOf(p.set, &e.frame), program.Count{Part: request.Part, EventID: request.EventID, ReadOnly: request.ReadOnly})
}

// Judge applies the rules to a decoded fact. It can be repeated.
func (p *Program) Judge(e *Event, d *Decision) {
	p.judge(&e.frame, d)
	d.Trace = d.Trace[:0]
}

// Evaluate judges a fact given as protobuf wire bytes, which must not change
// meanwhile. Velocity counts the fact before the rules read it. The error is
// fact.ErrMalformed or fact.ErrTooLarge; then nothing was counted.
func (p *Program) Evaluate(data []byte, d *Decision, request *Request) error {
	e := p.events.Get().(*Event)
	defer func() {
		e.frame.Reset()
		p.events.Put(e)
	}()
	if err := p.Decode(data, e); err != nil {
		return err
	}
	p.Observe(e, request)
	p.Judge(e, d)
	if request != nil && request.Trace {
		p.trace(data, d, request)
	}
	return nil
}

// EvaluateJSON judges a fact given in protobuf's JSON form.
func (p *Program) EvaluateJSON(text []byte, d *Decision, request *Request) error {
	data, err := p.schema.FromJSON(text)
	if err != nil {
		return err
	}
	return p.Evaluate(data, d, request)
}

// timeOf is the event's own time; missing where it has none.
func timeOf(set *check.Set, frame *program.Frame) fact.Slot {
	if set.Time < 0 {
		return fact.Slot{}
	}
	return frame.Record.Slots[set.Time]
}

// judge applies the rules to a decoded fact.
func (p *Program) judge(frame *program.Frame, d *Decision) {
	d.Action, d.Score = Allow, 0
	d.Fired, d.Shadow = d.Fired[:0], d.Shadow[:0]
	d.Ruleset, d.Version = p.name, p.version
	frame.Rates = p.options.Rates.Get()
	first := &p.layers[0]
	hits := first.index.Fire(frame)
	if len(p.layers) == 1 {
		for _, i := range hits {
			p.fire(frame, first.rules[i], d)
		}
		d.Unknown = frame.Unknown
	} else {
		hits = frame.Keep(hits)
		frame.Release()
		p.fireBoth(frame, hits, d)
	}
	frame.Release()
}

// fireBoth tells the rules of two layers that fired, in their common order.
func (p *Program) fireBoth(frame *program.Frame, hits []int32, d *Decision) {
	first, second, unknown := p.layers[0].rules, p.layers[1].rules, frame.Unknown
	for _, i := range p.layers[1].index.Fire(frame) {
		rule := second[i]
		for len(hits) > 0 && first[hits[0]].before(rule) {
			p.fire(frame, first[hits[0]], d)
			hits = hits[1:]
		}
		p.fire(frame, rule, d)
	}
	for _, i := range hits {
		p.fire(frame, first[i], d)
	}
	d.Unknown = unknown.Add(frame.Unknown)
}

// fire adds a rule to a decision.
func (p *Program) fire(frame *program.Frame, rule *Rule, d *Decision) {
	if rule.State != Live && !p.chosen(frame, rule) {
		d.Shadow = append(d.Shadow, rule)
		return
	}
	d.Fired = append(d.Fired, rule)
	d.Score += rule.Score
	d.Action = max(d.Action, rule.Action)
}

// chosen reports whether a canary is live for a fact; no other rule is.
func (p *Program) chosen(frame *program.Frame, rule *Rule) bool {
	if rule.canary == 0 {
		return false
	}
	c := &p.canaries[rule.canary-1]
	return frame.Chosen(c.by, rule.Name, c.ppm)
}
