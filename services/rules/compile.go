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
	c.stencils = c.reader.Stencils()
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
	mixed   bool    // decisions tell them in another order
	lines   []int   // of the tests
	text    string  // what is read
	line    int     // of offset
	offset  int
	edits   bool // rules may be compiled again, beside others
	dearest syntax.Ident
	most    int64

	stencils *syntax.Stencils // nil: each condition is read and checked for itself
	costs    []int64          // by number of the stencil
}

// About how much source makes one branch, and one rule.
const (
	bytesPerTest = 36
	bytesPerRule = 160
)

func newCompiler(p *Program) *compiler {
	size := min(len(p.source), syntax.MaxSource)
	rules := size / bytesPerRule
	p.items = make([]item, 0, rules)
	return &compiler{
		program: p, text: p.source, line: 1, reader: syntax.NewReader(p.source),
		checker: check.New(p.schema, p.options.Lists, syntax.Lists(p.source), rules),
		builder: program.NewBuilder(p.options.Sample.of(p.schema), size/bytesPerTest, rules),
		made:    make([]*Rule, 0, rules),
	}
}

// parcel is how many rules are read before they are checked, and checked before
// they are added: each step finds its code and its data near.
const parcel = 64

// read checks and adds all that the source has.
func (c *compiler) read() []syntax.Fault {
	items := make([]syntax.Item, 0, parcel)
	for more := true; more; {
		items = c.parcel(items[:0])
		more = len(items) > 0
		c.checker.Patterns(c.reader.Patterns())
		for _, item := range items {
			c.item(item)
		}
		c.builder.Flush()
		c.checker.Release()
		c.reader.Release()
	}
	return c.faults()
}

// parcel reads some items, none at the end. A rule that was not read by stencils
// ends it: there may be more of them once it is checked.
func (c *compiler) parcel(items []syntax.Item) []syntax.Item {
	for len(items) < parcel {
		item := c.reader.Next()
		if item == nil {
			break
		}
		items = append(items, item)
		if rule, ok := item.(*syntax.Rule); ok && rule.Terms == nil {
			break
		}
	}
	return items
}

// item checks an item, and adds it if it is a rule.
func (c *compiler) item(item syntax.Item) {
	switch item := item.(type) {
	case *syntax.Rule:
		if !c.checker.Full() {
			c.items(item, c.rule(item))
		}
	case *syntax.Test:
		c.tests = append(c.tests, item)
		c.lines = append(c.lines, c.lineOf(item.Span.Start))
		c.items(item, nil)
	case *syntax.List:
		c.items(item, nil)
	}
}

// faults ends the checking of what was read to its end.
func (c *compiler) faults() []syntax.Fault {
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
func (c *compiler) rule(plan *syntax.Rule) *Rule {
	checked := c.checker.Rule(plan)
	cost := c.condition(plan, checked)
	c.program.cost += cost
	if cost > c.most {
		c.most, c.dearest = cost, plan.Name
	}
	rule := c.rules.Get()
	rule.Name, rule.Action, rule.Score, rule.Priority = plan.Name.Name, plan.Action, plan.Score, plan.Priority
	rule.State, rule.Line = plan.State, c.lineOf(plan.Span.Start)
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
	rule.cost, rule.place = cost, int64(len(c.made)+1)<<placeBits
	if c.edits {
		rule.when = checked.When
	}
	c.add(rule)
	return rule
}

// add puts a rule behind those made before.
func (c *compiler) add(rule *Rule) {
	if last := len(c.made) - 1; last >= 0 && rule.before(c.made[last]) {
		c.mixed = true
	}
	c.made = append(c.made, rule)
}

// condition builds the condition of the next rule and returns its cost.
func (c *compiler) condition(plan *syntax.Rule, checked *check.Rule) (cost int64) {
	if plan.Terms != nil {
		if cost, ok := c.terms(plan.Terms); ok {
			return cost
		}
		c.reader.Expand(plan) // to tell what is wrong
		c.checker.When(checked)
	} else if c.stencils != nil && c.reader.Shallow() {
		for _, when := range c.checker.Learn(checked, c.stencils, c.program.source) {
			c.costs = append(c.costs, program.Cost(when))
		}
	}
	c.builder.Add(len(c.made), checked.When)
	return program.Cost(checked.When)
}

// terms builds the condition of the next rule of what stencils have read. It
// returns false where that has a fault.
func (c *compiler) terms(terms []syntax.Term) (cost int64, ok bool) {
	for i := range terms {
		when := c.checker.Fill(&terms[i])
		if when == nil {
			return 0, false
		}
		c.builder.Term(when, len(terms) == 1)
		cost += c.costs[terms[i].Number]
	}
	c.builder.EndRule(len(c.made))
	return cost, true
}

// again adds a rule that was compiled before.
func (c *compiler) again(rule *Rule) {
	c.builder.Add(len(c.made), rule.when)
	c.add(rule)
}

// placeBits leave room for rules between others.
const placeBits = 20

// items notes where an item stands.
func (c *compiler) items(of syntax.Item, rule *Rule) {
	span := of.ItemSpan()
	_, test := of.(*syntax.Test)
	c.program.items = append(c.program.items, item{start: span.Start, end: span.End, rule: rule, test: test})
}

// lineOf is the number of the line that an offset behind the last one is in.
func (c *compiler) lineOf(offset int32) int {
	c.line += strings.Count(c.text[c.offset:offset], "\n")
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
	p.layout, p.testLines = p.set.Layout, c.lines
	slices.Sort(p.set.Lists)
	p.set.Lists = slices.Compact(p.set.Lists)
	p.layers = []layer{c.layer()}
	p.windows = program.NewWindows(p.set, p.options.Counters, p.options.Scope)
	p.events.New = func() any { return p.NewEvent() }
	p.tracer = p.lazyTracer()
}

// layer makes what was added a layer.
func (c *compiler) layer() layer {
	rules := slices.Clone(c.made)
	if c.mixed {
		slices.SortFunc(rules, compareRules)
	}
	for rank, rule := range rules {
		rule.number = int32(rank)
	}
	order := make([]int32, len(c.made))
	for i, rule := range c.made {
		order[i] = rule.number
	}
	return layer{rules, c.builder.Build(order, c.program.set.Layout.Root().Extra)}
}
