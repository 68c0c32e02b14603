package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/vm"

	"github.com/backlot-video/backlot/bench/internal/measure"
	backlot "github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/batch"
)

// backtestRows is how many events the kernels run over.
const backtestRows = 32 * batch.Rows

// backtestRule has four conditions: an amount, a duration and two strings.
var backtestRule = Rule{Name: "four", Cond: Cond{
	text: [dialects]string{
		Ours: `amount > 500.00 CNY and account_age < 30d and channel == "app" and billing.country in ["CN", "SG", "US", "JP"]`,
		Expr: fmt.Sprintf(`amount > 50000 && account_age < %d && channel == "app" && billing.country in ["CN", "SG", "US", "JP"]`, 30*24*hour),
	},
	holds: func(e *Event) bool {
		return e.Amount > 50_000 && e.AccountAge < 30*24*hour && e.Channel == "app" && slices.Contains([]string{"CN", "SG", "US", "JP"}, e.Billing.Country)
	},
}}

// Backtest measures a rule of four conditions over events that were decoded
// ahead: ours by the column, beside our own evaluator of single events, expr
// and the compute kernels of Apache Arrow. Then it runs the tool over files.
func Backtest(report *measure.Report) error {
	events := Events(backtestRows, 77)
	columns, err := columnCase(events)
	if err != nil {
		return err
	}
	single, err := singleCase(events)
	if err != nil {
		return err
	}
	byExpr, err := exprCase(events)
	if err != nil {
		return err
	}
	byArrow, release := arrowCase(events)
	defer release()
	results, err := measure.Compare([]measure.Case{columns, byExpr, byArrow, single}, measure.Turns{})
	if err != nil {
		return err
	}
	ours, row := results[0], results[3]
	best := measure.Best(results[:3])
	peers := map[string]float64{}
	for _, r := range results[1:] {
		peers[r.Name] = 1 / r.PerOp
	}
	extra := []measure.Extra{
		{Name: "ns_a_row", Value: ours.PerOp},
		{Name: "allocs", Value: ours.Allocs},
		{Name: "row_evaluator_ns", Value: row.PerOp},
		{Name: "peers", Value: peers},
	}
	files, err := backtestFiles()
	if err != nil {
		return err
	}
	return report.Print(measure.Line{
		Bench: "rules/backtest", Unit: "G rows/s a core", Ours: 1 / ours.PerOp, Peer: best.Name, PeerValue: 1 / best.PerOp, Higher: true,
		Extra: append(extra, files...),
	})
}

var errDisagree = errors.New("another number of events fires the rule")

// wanted is how many events fire the rule.
func wanted(events []Event) (n int) {
	for i := range events {
		if backtestRule.holds(&events[i]) {
			n++
		}
	}
	return n
}

func columnCase(events []Event) (measure.Case, error) {
	schema, err := Schema()
	if err != nil {
		return measure.Case{}, err
	}
	judge, err := batch.Compile("bench", Source([]Rule{backtestRule}, "R"), schema, nil)
	if err != nil {
		return measure.Case{}, err
	}
	var workers []*batch.Worker
	for i := range events {
		if i%batch.Rows == 0 {
			workers = append(workers, judge.NewWorker())
		}
		if err := workers[len(workers)-1].Append(events[i].Wire()); err != nil {
			return measure.Case{}, err
		}
	}
	for at, w := range workers {
		verdicts := w.Judge()
		for i := range verdicts.Actions {
			if verdicts.Fires(0, i) != backtestRule.holds(&events[at*batch.Rows+i]) {
				return measure.Case{}, fmt.Errorf("by the column: event %d: %w", at*batch.Rows+i, errDisagree)
			}
		}
	}
	want := wanted(events)
	return measure.Case{Name: engineNames[Ours], Ops: len(events), Run: func() error {
		fired := 0
		for _, w := range workers {
			fired += w.Judge().Fired[0].Count()
		}
		return agreed(fired, want)
	}}, nil
}

func agreed(got, want int) error {
	if got != want {
		return fmt.Errorf("%w: %d, want %d", errDisagree, got, want)
	}
	return nil
}

// singleCase judges the events one by one.
func singleCase(events []Event) (measure.Case, error) {
	schema, err := Schema()
	if err != nil {
		return measure.Case{}, err
	}
	program, err := backlot.Compile("bench", Source([]Rule{backtestRule}, "R"), schema, nil)
	if err != nil {
		return measure.Case{}, err
	}
	decoded := make([]*backlot.Event, len(events))
	for i := range events {
		decoded[i] = program.NewEvent()
		if err := program.Decode(events[i].Wire(), decoded[i]); err != nil {
			return measure.Case{}, err
		}
	}
	want := wanted(events)
	var decision backlot.Decision
	return measure.Case{Name: "ours, event by event", Ops: len(events), Run: func() error {
		fired := 0
		for _, event := range decoded {
			program.Judge(event, &decision)
			fired += len(decision.Fired)
		}
		return agreed(fired, want)
	}}, nil
}

func exprCase(events []Event) (measure.Case, error) {
	programs, err := exprPrograms([]Rule{backtestRule}, exprEnv(&Event{}))
	if err != nil {
		return measure.Case{}, err
	}
	envs := make([]any, len(events))
	for i := range events {
		envs[i] = exprEnv(&events[i])
	}
	want := wanted(events)
	machine := &vm.VM{}
	return measure.Case{Name: engineNames[Expr], Ops: len(events), Run: func() error {
		fired := 0
		for _, env := range envs {
			out, err := machine.Run(programs[0], env)
			if err != nil {
				return err
			}
			if out.(bool) {
				fired++
			}
		}
		return agreed(fired, want)
	}}, nil
}
