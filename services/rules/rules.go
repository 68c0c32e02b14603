// Package rules compiles and evaluates risk rules.
//
//	schema, err := fact.New((&rulesv1.PaymentFact{}).ProtoReflect().Descriptor(), fact.Config{})
//	program, err := rules.Compile("risk.rules", source, schema, nil)
//	var decision rules.Decision
//	err = program.Evaluate(wireBytes, &decision, nil)
//
// rules.go has the types, compile.go compiles, evaluate.go judges facts,
// trace.go explains, test.go runs the tests of a
// source, error.go shows faults, format.go prints sources in canonical form.
// The README describes the language.
//
// A Program is immutable and safe for concurrent use. It starts no goroutine
// and keeps no state but the velocity counters of the store it was given.
package rules

import (
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
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
	Rates    *rate.Ref         // of convert; none
	Counters velocity.Counters // of velocity functions; an own store
	Scope    string            // whose counters: programs of one scope share them; the name
	// Sample has recent facts, from which the compiler learns how often
	// conditions hold. It changes speed, never verdicts. Default: none, the
	// compiler guesses, as it does where the sample's facts have other fields.
	Sample *Sample
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

	canary int32 // 1 + index in the program's canaries, 0: it is none
	number int32 // in its layer
	place  int64 // orders the rules of a source
	cost   int64
	when   *check.Node // of a rule of the second layer
}

// before reports whether decisions tell a rule before another: strictest action
// first, then by priority, then as in the source.
func (r *Rule) before(o *Rule) bool {
	switch {
	case r.Action != o.Action:
		return r.Action > o.Action
	case r.Priority != o.Priority:
		return r.Priority > o.Priority
	}
	return r.place < o.place
}

// layer is rules that were compiled together, in the order of before.
type layer struct {
	rules []*Rule
	index *program.Index
}

// item is a part of a source: a rule, or (rule is nil) a list or test.
type item struct {
	start, end int32
	rule       *Rule
	test       bool
	edited     bool // the rule is of the second layer
}

// Program is a compiled ruleset.
type Program struct {
	name, version string
	source        string
	schema        *fact.Schema
	options       Options
	layout        *fact.Layout
	layers        []layer // one, or two after an edit
	items         []item  // as in the source
	late          late
	canaries      []canary
	windows       *program.Windows
	set           *check.Set // without its rules
	testLines     []int
	cost          int64
	events        sync.Pool
	tracer        func() (*tracer, error)
}

// Name is the name given to Compile.
func (p *Program) Name() string { return p.name }

// Version is the version given to Compile.
func (p *Program) Version() string { return p.version }

// Schema is the type of facts that the program judges.
func (p *Program) Schema() *fact.Schema { return p.schema }

// Rules returns the rules, strictest action first, then by priority, then as in
// the source.
func (p *Program) Rules() []*Rule {
	rules := make([]*Rule, 0, len(p.items))
	for i := range p.items {
		if rule := p.items[i].rule; rule != nil {
			rules = append(rules, rule)
		}
	}
	slices.SortFunc(rules, compareRules)
	return rules
}

func compareRules(a, b *Rule) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

// Lists returns the names of the lists that the rules refer to, in order.
func (p *Program) Lists() []string { return p.set.Lists }

// Cost bounds what judging one fact takes, in units of about a nanosecond, as
// if every part of every rule had to be looked at. Lists within facts count as
// 16 elements.
func (p *Program) Cost() int64 { return p.cost }

// Tests is the number of tests in the source.
func (p *Program) Tests() int { return len(p.set.Tests) }
