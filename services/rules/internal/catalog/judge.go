package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/lint"
)

// Errors of Evaluate.
var (
	ErrNoRuleset   = errors.New("no ruleset judges facts of this type")
	ErrNewerSchema = errors.New("the fact has a newer schema revision than is known here")
)

// Query is a fact to be judged: Wire or, where that is nil, JSON.
type Query struct {
	FactType       string
	SchemaRevision uint32 // 0 means any
	Wire           []byte
	JSON           []byte
	Labels         map[string]string // by which canaries may choose
	Request        rules.Request
}

// judge is a program in force and the schema revision it was compiled for. An
// evaluation reads it once.
type judge struct {
	program  *rules.Program
	revision uint32
	beside   *beside // nil: no rollout runs
	sample   *sample
}

// Evaluate judges a fact by the ruleset in force for its type.
func (c *Catalog) Evaluate(q *Query, d *rules.Decision) error {
	start := time.Now()
	err := c.evaluate(q, d)
	if err != nil {
		c.metrics.failed.Inc()
		return err
	}
	c.metrics.judged(d, time.Since(start))
	return nil
}

func (c *Catalog) evaluate(q *Query, d *rules.Decision) error {
	judge, ok := (*c.inForce.Load())[q.FactType]
	if !ok {
		return fmt.Errorf("%w: %s", ErrNoRuleset, q.FactType)
	}
	if q.SchemaRevision > judge.revision {
		return fmt.Errorf("%w: %s revision %d, known is %d", ErrNewerSchema, q.FactType, q.SchemaRevision, judge.revision)
	}
	wire := q.Wire
	if wire == nil {
		var err error
		if wire, err = judge.program.Schema().FromJSON(q.JSON); err != nil {
			return err
		}
	}
	judge.sample.offer(wire)
	if judge.beside != nil {
		return judge.beside.judge(judge.program, q, wire, d)
	}
	return judge.program.Evaluate(wire, d, &q.Request)
}

// Checked is the outcome of Check.
type Checked struct {
	Errors    rules.Errors
	Failed    []rules.TestResult // tests that did not pass
	Warnings  []lint.Finding
	Rules     int
	Tests     int
	Formatted string // empty when the source does not parse
}

// Check compiles a source for a fact type, runs its tests and looks for what is
// likely wrong. Nothing changes.
func (c *Catalog) Check(name, factType, source string) (Checked, error) {
	c.mu.Lock()
	known, err := c.factType(factType)
	c.mu.Unlock()
	if err != nil {
		return Checked{}, err
	}
	var checked Checked
	if formatted, err := rules.Format(name, source, rules.LanguageOf(source)); err == nil {
		checked.Formatted = formatted
	}
	program, err := rules.Compile(name, source, known.schema, &rules.Options{Lists: &c.lists, Rates: &c.rates, Budget: c.config.Budget})
	if errors.As(err, &checked.Errors) {
		return checked, nil
	}
	if err != nil {
		return Checked{}, err
	}
	checked.Rules, checked.Tests = len(program.Rules()), program.Tests()
	for _, result := range program.Test() {
		if result.Failure != "" {
			checked.Failed = append(checked.Failed, result)
		}
	}
	findings, err := lint.Check(name, source, known.schema, &c.lists)
	if err != nil {
		return Checked{}, err
	}
	checked.Warnings = slices.DeleteFunc(findings, func(f lint.Finding) bool { return f.Severity != lint.Warning })
	return checked, nil
}

// Verify compiles a source for a fact type and runs its tests, as Check does
// without looking for more.
func (c *Catalog) Verify(name, factType, source string) error {
	c.mu.Lock()
	known, err := c.factType(factType)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	program, err := rules.Compile(name, source, known.schema, &rules.Options{Lists: &c.lists, Rates: &c.rates, Budget: c.config.Budget})
	if err != nil {
		return err
	}
	return failures(program)
}

// failures are the tests of a program that do not pass.
func failures(program *rules.Program) error {
	var failed []error
	for _, result := range program.Test() {
		if result.Failure != "" {
			failed = append(failed, fmt.Errorf("%s:%d: test %q: %s", program.Name(), result.Line, result.Name, result.Failure))
		}
	}
	return errors.Join(failed...)
}
