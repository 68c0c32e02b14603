package rules

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Condition is a compiled condition without a rule around it: what stands
// between `when` and `then`. It is immutable and safe for concurrent use.
type Condition struct {
	program *Program
	holds   program.Cond
}

// CompileCondition compiles a condition on facts of a schema. name stands for
// the text in errors. The error is an Errors.
func CompileCondition(name, text string, schema *fact.Schema, options *Options) (*Condition, error) {
	p := newProgram(name, text, schema, options)
	rule, faults := syntax.Condition(text)
	if len(faults) == 0 {
		c := newCompiler(p)
		when := c.checker.Rule(rule).When
		p.cost, c.dearest = program.Cost(when), rule.Name
		c.most = p.cost
		if faults = c.check(); len(faults) == 0 {
			c.finish()
			return &Condition{p, program.Alone(when, p.options.Rates)}, nil
		}
	}
	return nil, newErrors(name, text, faults)
}

// NewEvent returns an empty event for Decode.
func (c *Condition) NewEvent() *Event { return c.program.NewEvent() }

// Decode reads a fact as Program.Decode does.
func (c *Condition) Decode(data []byte, e *Event) error { return c.program.Decode(data, e) }

// Observe counts and reads velocity as Program.Observe does.
func (c *Condition) Observe(e *Event, request *Request) { c.program.Observe(e, request) }

// Holds reports whether the condition is known to be true of a decoded fact.
// It does not allocate.
func (c *Condition) Holds(e *Event) bool {
	return c.holds(&e.frame)
}
