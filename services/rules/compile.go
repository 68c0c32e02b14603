package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/arena"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// DefaultBudget is the Cost that a program may have.
const DefaultBudget = 10_000_000

// canary is how a rule chooses the facts that it is live for.
type canary struct {
	by  *check.Node
	ppm int64
}

// Compile compiles a source for facts of a schema. name stands for the source
// in errors and for the ruleset in decisions. The error is an Errors.
func Compile(name, source string, schema *fact.Schema, options *Options) (*Program, error) {
	p := newProgram(name, source, schema, options)
	c := newCompiler(p)
	if faults := c.read(); len(faults) > 0 {
		return nil, newErrors(name, source, faults)
	}
	c.finish()
	return p, nil
}

func newProgram(name, source string, schema *fact.Schema, options *Options) *Program {
	p := &Program{name: name, source: source, schema: schema}
	if options != nil {
		p.options = *options
	}
	p.version = p.options.Version
	if p.options.Scope == "" {
		p.options.Scope = name
	}
	if p.options.Counters == nil {
		p.options.Counters = velocity.New(velocity.Config{})
	}
	return p
}

// compiler makes a program rule by rule, so that the tree of a rule is gone
// before the next one is read.
type compiler struct {
	program *Program
	reader  *syntax.Reader
	checker *check.Checker
	builder *program.Builder
	tests   []*syntax.Test
	rules   arena.Pool[Rule]
	made    []*Rule // as in the source
	line    int     // of offset
	offset  int
	dearest syntax.Ident
	most    int64
}

// bytesPerTest is about how much source makes one branch.
const bytesPerTest = 28

func newCompiler(p *Program) *compiler {
	return &compiler{
		program: p, line: 1, reader: syntax.NewReader(p.source),
		checker: check.New(p.schema, p.options.Lists, syntax.Lists(p.source)),
		builder: program.NewBuilder(program.NewSample(p.schema, p.options.Sample), len(p.source)/bytesPerTest),
	}
}

// read checks and adds all that the source has.
func (c *compiler) read() []syntax.Fault {
	for item := c.reader.Next(); item != nil; item = c.reader.Next() {
		switch item := item.(type) {
		case *syntax.Rule:
			if !c.checker.Full() {
				c.rule(item)
			}
			c.checker.Release()
			c.reader.Release()
		case *syntax.Test:
			c.tests = append(c.tests, item)
		}
	}
	if faults := c.reader.Faults(); len(faults) > 0 {
		return faults
	}
	return c.check()
}

// check ends the checking of what was read.
func (c *compiler) check() []syntax.Fault {
	set, faults := c.checker.Finish(c.tests)
	c.program.set = set
	if len(faults) > 0 {
		return faults
	}
	return c.overBudget()
}

// rule checks and adds a rule. It keeps nothing of its tree.
func (c *compiler) rule(plan *syntax.Rule) {
	checked := c.checker.Rule(plan)
	cost := program.Cost(checked.When)
	c.program.cost += cost
	if cost > c.most {
		c.most, c.dearest = cost, plan.Name
	}
	c.builder.Add(len(c.made), checked.When)
	rule := c.rules.Get()
	*rule = Rule{
		Name: plan.Name.Name, Action: plan.Action, Score: plan.Score, Priority: plan.Priority,
		State: plan.State, Line: c.lineOf(plan.Span.Start),
	}
	if plan.Title != nil {
		rule.Title = plan.Title.Str
	}
	if plan.Reason != nil {
		rule.Reason = plan.Reason.Name
	}
	for _, tag := range plan.Tags {
		rule.Tags = append(rule.Tags, tag.Name)
	}
	if plan.State == syntax.Canary {
		c.program.canaries = append(c.program.canaries, canary{checked.Canary, plan.CanaryPPM})
		rule.canary = int32(len(c.program.canaries))
	}
	c.made = append(c.made, rule)
}

// lineOf is the number of the line that an offset behind the last one is in.
func (c *compiler) lineOf(offset int32) int {
	c.line += strings.Count(c.program.source[c.offset:offset], "\n")
	c.offset = int(offset)
	return c.line
}

// overBudget reports rules that cost too much.
func (c *compiler) overBudget() []syntax.Fault {
	budget := c.program.options.Budget
	if budget <= 0 {
		budget = DefaultBudget
	}
	if c.program.cost <= budget {
		return nil
	}
	return []syntax.Fault{{
		Span:    c.dearest.Span,
		Message: fmt.Sprintf("the rules cost up to %d units a fact, the budget is %d", c.program.cost, budget),
		Help:    fmt.Sprintf("the dearest is '%s' with %d", c.dearest.Name, c.most),
	}}
}

// finish makes the program of what was read without fault.
func (c *compiler) finish() {
	p := c.program
	p.layout = p.set.Layout
	slices.Sort(p.set.Lists)
	p.set.Lists = slices.Compact(p.set.Lists)
	p.index = c.builder.Build(c.rank(), p.layout.Root().Extra)
	p.windows = program.NewWindows(p.set, p.options.Counters, p.options.Scope)
	p.events.New = func() any { return p.NewEvent() }
	p.tracer = p.lazyTracer()
}

// rank orders the rules as decisions tell them, and returns the number that
// each rule of the source has in that order.
func (c *compiler) rank() []int32 {
	numbers := make([]int32, len(c.made))
	for i := range numbers {
		numbers[i] = int32(i)
	}
	slices.SortFunc(numbers, func(i, j int32) int {
		a, b := c.made[i], c.made[j]
		switch {
		case a.Action != b.Action:
			return int(b.Action) - int(a.Action)
		case a.Priority != b.Priority:
			return int(b.Priority - a.Priority)
		}
		return int(i - j)
	})
	order := make([]int32, len(c.made))
	c.program.rules = make([]*Rule, len(c.made))
	for rank, i := range numbers {
		order[i] = int32(rank)
		c.program.rules[rank] = c.made[i]
	}
	return order
}
