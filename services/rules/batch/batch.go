// Package batch judges many facts at a time, by the column: a condition is
// applied to a batch of facts at once, which takes a small part of the time
// that judging them one by one does. Backtests are made of it.
//
//	judge, err := batch.Compile("risk.rules", source, schema, nil)
//	worker := judge.NewWorker()
//	for _, data := range facts { err = worker.Append(data) } // at most batch.Rows
//	verdicts := worker.Judge()
//
// A Judge is immutable and safe for concurrent use; a Worker belongs to one
// goroutine. Verdicts are those of rules.Program.Evaluate. Rulesets that use
// velocity cannot be judged so: what they say depends on the facts before.
package batch

import (
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// Rows is how many facts a batch holds at most.
const Rows = column.Rows

// Errors of Compile and Append.
var (
	ErrVelocity = errors.New("batch: the ruleset uses velocity")
	ErrFull     = errors.New("batch: full")
)

// Judge is a ruleset compiled for batches.
type Judge struct {
	set     *check.Set
	plan    *column.Scope
	program *column.Program
	rules   []column.Rule
	told    []*rules.Rule
	rates   *rate.Table
}

// Compile compiles a source as rules.Compile does, whose errors it returns.
func Compile(name, source string, schema *fact.Schema, options *rules.Options) (*Judge, error) {
	if options == nil {
		options = &rules.Options{}
	}
	program, err := rules.Compile(name, source, schema, options)
	if err != nil {
		return nil, err
	}
	file, faults := syntax.Parse(source)
	var set *check.Set
	if len(faults) == 0 {
		set, faults = check.Check(file, schema, options.Lists)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("batch: %s", faults[0].Message) // rules.Compile found none
	}
	if len(set.Counters) > 0 {
		return nil, ErrVelocity
	}
	j := &Judge{set: set, plan: column.NewPlan(set, ""), program: column.Compile(set), told: program.Rules()}
	if options.Rates != nil {
		j.rates = options.Rates.Get()
	}
	for _, rule := range j.told {
		at := slices.IndexFunc(set.Rules, func(r *check.Rule) bool { return r.Name.Name == rule.Name })
		j.rules = append(j.rules, column.Rule{Rule: set.Rules[at], Name: rule.Name})
	}
	return j, nil
}

// Rules returns the rules, strictest action first.
func (j *Judge) Rules() []*rules.Rule { return j.told }

// Worker judges batches, one after the other.
type Worker struct {
	judge    *Judge
	state    *column.State
	builder  *column.Builder
	text     *fact.Text
	batch    column.Batch
	record   fact.Record
	verdicts Verdicts
	judged   bool
}

// NewWorker returns a worker with an empty batch.
func (j *Judge) NewWorker() *Worker {
	w := &Worker{judge: j, state: column.NewState(j.program, j.rates), builder: column.NewBuilder(j.plan), text: fact.NewText(j.set.Layout, fact.TextConfig{})}
	w.Reset()
	return w
}

// Reset begins the next batch.
func (w *Worker) Reset() {
	w.builder.Begin(&w.batch)
	w.judged = false
}

// Append adds a fact given as protobuf wire bytes to the batch.
func (w *Worker) Append(data []byte) error {
	if err := w.judge.set.Layout.Decode(data, &w.record); err != nil {
		return err
	}
	return w.add()
}

// AppendJSON adds a fact given in protobuf's JSON form.
func (w *Worker) AppendJSON(text []byte) error {
	if _, err := w.text.Decode(text, &w.record); err != nil {
		return err
	}
	return w.add()
}

func (w *Worker) add() error {
	if w.judged || w.batch.N == Rows {
		return ErrFull
	}
	w.builder.Append(&w.record)
	return nil
}

// Verdicts are those on a batch, in the order of its facts.
type Verdicts struct{ column.Verdicts }

// Fires reports whether a rule, by its place in Rules, fired live for a fact.
func (v *Verdicts) Fires(rule, fact int) bool { return v.Fired[rule] != nil && v.Fired[rule].Has(fact) }

// Judge judges the batch; nothing can be added to it until Reset. The verdicts
// hold until the next call of Judge. Judging again gives the same.
func (w *Worker) Judge() *Verdicts {
	if !w.judged {
		w.builder.End()
		w.judged = true
	}
	w.state.Begin(&w.batch)
	w.state.Judge(w.judge.rules, &w.verdicts.Verdicts)
	return &w.verdicts
}
