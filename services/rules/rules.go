// Package rules compiles and evaluates risk rules.
//
//	schema, err := fact.New((&rulesv1.PaymentFact{}).ProtoReflect().Descriptor(), fact.Config{})
//	program, err := rules.Compile("risk.rules", source, schema, nil)
//	var decision rules.Decision
//	err = program.Evaluate(wireBytes, &decision, nil)
//
// rules.go compiles, evaluate.go judges facts, test.go runs the tests of a
// source, error.go shows faults, format.go prints sources in canonical form.
// The README describes the language.
//
// A Program is immutable and safe for concurrent use. It starts no goroutine
// and keeps no state but the velocity counters of the store it was given.
package rules

import (
	"fmt"
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Action is what a rule asks for. The zero value is no action.
type Action = syntax.Action

// The actions, in rising strictness.
const (
	Allow     = syntax.Allow
	Challenge = syntax.Challenge
	Review    = syntax.Review
	Deny      = syntax.Deny
)

// State tells how far a rule is released.
type State = syntax.State

// The states. A canary is live for a share of facts and in shadow for others.
const (
	Live   = syntax.Live
	Shadow = syntax.Shadow
	Canary = syntax.Canary
)

// Options of Compile. A nil *Options means the default of each field.
type Options struct {
	Version  string            // told by decisions; empty by default
	Lists    *list.Registry    // lists that the source does not define itself; none
	Counters velocity.Counters // of velocity functions; an own store
	Scope    string            // whose counters: programs of one scope share them; the name
	// Sample has recent facts, as wire bytes, from which the compiler learns
	// how often conditions hold. It changes speed, never verdicts. Default:
	// none, the compiler guesses.
	Sample [][]byte
	// Budget bounds what judging one fact may cost, see Program.Cost.
	// Default DefaultBudget.
	Budget int64
}

// Rule is one rule of a program.
type Rule struct {
	Name     string
	Title    string
	Action   Action
	Score    int64
	Reason   string
	Priority int64
	Tags     []string
	State    State
	Line     int // in the source, from 1
}

// Program is a compiled ruleset.
type Program struct {
	name, version string
	schema        *fact.Schema
	layout        *fact.Layout
	rules         []*Rule       // strictest action first, then by priority, then as in the source
	plans         []*check.Rule // beside rules
	index         *program.Index
	windows       *program.Windows
	scope         string
	time          int
	tests         []*check.Test
	testLines     []int
	set           *check.Set
	lists         []string
	addrs         int
	cost          int64
	events        sync.Pool
	probes        func() [][]program.Probe
}

// Compile compiles a source for facts of a schema. name stands for the source
// in errors and for the ruleset in decisions. The error is an Errors.
func Compile(name, source string, schema *fact.Schema, options *Options) (*Program, error) {
	if options == nil {
		options = &Options{}
	}
	file, faults := syntax.Parse(source)
	var set *check.Set
	if len(faults) == 0 {
		set, faults = check.Check(file, schema, options.Lists)
	}
	if len(faults) == 0 {
		faults = overBudget(set, options.Budget)
	}
	if len(faults) > 0 {
		return nil, newErrors(name, source, faults)
	}
	p := &Program{
		name: name, version: options.Version, schema: schema, layout: set.Layout,
		scope: options.Scope, time: set.Time, tests: set.Tests, set: set,
	}
	if p.scope == "" {
		p.scope = name
	}
	counters := options.Counters
	if counters == nil {
		counters = velocity.New(velocity.Config{})
	}
	slices.Sort(set.Lists)
	p.lists = slices.Compact(set.Lists)
	p.add(set, source, program.NewSample(schema, options.Sample))
	p.windows = program.NewWindows(set, counters, p.scope)
	p.addrs = set.Addrs
	p.events.New = func() any { return p.NewEvent() }
	return p, nil
}

// DefaultBudget is the Cost that a program may have.
const DefaultBudget = 10_000_000

// overBudget reports a set that costs more than a budget.
func overBudget(set *check.Set, budget int64) []syntax.Fault {
	if budget <= 0 {
		budget = DefaultBudget
	}
	var total, most int64
	var dearest *check.Rule
	for _, rule := range set.Rules {
		cost := program.Cost(rule.When)
		total += cost
		if dearest == nil || cost > most {
			most, dearest = cost, rule
		}
	}
	if total <= budget {
		return nil
	}
	return []syntax.Fault{{
		Span:    dearest.Name.Span,
		Message: fmt.Sprintf("the rules cost up to %d units a fact, the budget is %d", total, budget),
		Help:    fmt.Sprintf("the dearest is '%s' with %d", dearest.Name.Name, most),
	}}
}

// add compiles the rules of a set in the order in which decisions tell them.
func (p *Program) add(set *check.Set, source string, sample *program.Sample) {
	slices.SortStableFunc(set.Rules, func(a, b *check.Rule) int {
		if a.Action != b.Action {
			return int(b.Action) - int(a.Action)
		}
		return int(b.Priority - a.Priority)
	})
	lines := newLineIndex(source)
	for _, rule := range set.Rules {
		p.cost += program.Cost(rule.When)
	}
	for _, test := range set.Tests {
		p.testLines = append(p.testLines, lines.line(test.Span.Start))
	}
	builder := program.NewBuilder(set.Layout.Root().Extra, sample)
	order := make([]int32, len(set.Rules))
	for i, plan := range set.Rules {
		order[i] = int32(i)
		builder.Add(i, plan.When)
		rule := &Rule{
			Name: plan.Name.Name, Action: plan.Action, Score: plan.Score, Priority: plan.Priority,
			State: plan.State, Line: lines.line(plan.Span.Start),
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
		p.rules = append(p.rules, rule)
	}
	p.plans = set.Rules
	p.index = builder.Build(order)
	p.probes = sync.OnceValue(func() [][]program.Probe {
		all := make([][]program.Probe, len(p.plans))
		for i := range p.plans {
			all[i] = program.Probes(p.plans[i].When)
		}
		return all
	})
}

// Name is the name given to Compile.
func (p *Program) Name() string { return p.name }

// Version is the version given to Compile.
func (p *Program) Version() string { return p.version }

// Schema is the type of facts that the program judges.
func (p *Program) Schema() *fact.Schema { return p.schema }

// Rules returns the rules, strictest action first. The caller must not change
// them.
func (p *Program) Rules() []*Rule { return p.rules }

// Lists returns the names of the lists that the rules refer to, in order.
func (p *Program) Lists() []string { return p.lists }

// Cost bounds what judging one fact takes, in units of about a nanosecond, as
// if every part of every rule had to be looked at. Lists within facts count as
// 16 elements.
func (p *Program) Cost() int64 { return p.cost }

// Tests is the number of tests in the source.
func (p *Program) Tests() int { return len(p.tests) }
