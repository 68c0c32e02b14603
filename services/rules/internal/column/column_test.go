package column_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/rate"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// judge is a source compiled for columns.
type judge struct {
	set     *check.Set
	plan    *column.Scope
	state   *column.State
	counter *column.Counter
	rules   []column.Rule
	builder *column.Builder
}

func newJudge(t *testing.T, source string, schema *fact.Schema) *judge {
	t.Helper()
	file, faults := syntax.Parse(source)
	if len(faults) > 0 {
		t.Fatalf("%s: %+v", source, faults)
	}
	set, faults := check.Check(file, schema, nil)
	if len(faults) > 0 {
		t.Fatalf("%s: %+v", source, faults)
	}
	j := &judge{set: set, plan: column.NewPlan(set, "at"), state: column.NewState(column.Compile(set), rates)}
	for _, rule := range set.Rules {
		j.rules = append(j.rules, column.Rule{Rule: rule, Name: rule.Name.Name})
	}
	slices.SortStableFunc(j.rules, func(a, b column.Rule) int {
		if a.Action != b.Action {
			return int(b.Action) - int(a.Action)
		}
		return int(b.Priority - a.Priority)
	})
	j.builder = column.NewBuilder(j.plan)
	j.counter = column.NewCounter(set, j.plan, program.NewWindows(set, counters(), "test"))
	return j
}

// counters stand at one time, so that two runs count alike.
func counters() *velocity.Store {
	now := time.UnixMicro(1_800_000_000_000_000)
	return velocity.New(velocity.Config{Clock: func() time.Time { return now }, Secret: []byte("a secret of thirty-two bytes ...")})
}

var rates = func() *rate.Table {
	table, err := rate.New("", "USD", map[string]string{"CNY": "0.4"})
	if err != nil {
		panic(err)
	}
	return table
}()

func rateRef() *rate.Ref {
	var ref rate.Ref
	ref.Set(rates)
	return &ref
}

// batch decodes facts into a batch.
func (j *judge) batch(t testing.TB, facts [][]byte, into *column.Batch) {
	t.Helper()
	j.builder.Begin(into)
	var record fact.Record
	for _, data := range facts {
		if err := j.set.Layout.Decode(data, &record); err != nil {
			t.Fatal(err)
		}
		j.builder.Append(&record)
	}
	j.builder.End()
	if j.counter != nil {
		j.counter.Run(into)
	}
}

// agree compares the verdicts of columns with those of a Program.
func agree(t *testing.T, source string, schema *fact.Schema, facts [][]byte, texts []string) (fired int) {
	t.Helper()
	j := newJudge(t, source, schema)
	compiled, err := rules.Compile("test", source, schema, &rules.Options{Counters: counters(), Rates: rateRef()})
	if err != nil {
		t.Fatal(err)
	}
	var batch column.Batch
	var verdicts column.Verdicts
	var d rules.Decision
	for from := 0; from < len(facts); {
		to := min(len(facts), from+min(column.Rows, 1+len(facts)/3))
		j.batch(t, facts[from:to], &batch)
		j.state.Begin(&batch)
		j.state.Judge(j.rules, &verdicts)
		for row := range to - from {
			if err := compiled.Evaluate(facts[from+row], &d, nil); err != nil {
				t.Fatal(err)
			}
			var live, shadow []*rules.Rule
			for i, rule := range compiled.Rules() {
				if verdicts.Fired[i] != nil && verdicts.Fired[i].Has(row) {
					live = append(live, rule)
				}
				if verdicts.Shadow[i] != nil && verdicts.Shadow[i].Has(row) {
					shadow = append(shadow, rule)
				}
			}
			fired += len(live)
			if verdicts.Actions[row] != d.Action || verdicts.Scores[row] != d.Score || !slices.Equal(live, d.Fired) || !slices.Equal(shadow, d.Shadow) {
				t.Fatalf("%s\nof %s\nis %v %d %v %v, want %v %d %v %v", source, texts[from+row],
					verdicts.Actions[row], verdicts.Scores[row], names(live), names(shadow), d.Action, d.Score, names(d.Fired), names(d.Shadow))
			}
		}
		from = to
	}
	return fired
}

func names(fired []*rules.Rule) (names []string) {
	for _, rule := range fired {
		names = append(names, rule.Name)
	}
	return names
}

func orderSchema(t testing.TB) *fact.Schema {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func generated(t testing.TB, random source, schema *fact.Schema, n int) (facts [][]byte, texts []string) {
	for range n {
		text := random.fact()
		data, err := schema.FromJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		facts, texts = append(facts, data), append(texts, text)
	}
	return facts, texts
}

// TestColumnsAgreeWithRows compares generated rulesets on generated facts. A
// failure prints the ruleset and the fact.
func TestColumnsAgreeWithRows(t *testing.T) {
	schema := orderSchema(t)
	random := source{rand.New(rand.NewPCG(11, 3))}
	facts, texts := generated(t, random, schema, 300)
	fired := 0
	for i := range 150 {
		fired += agree(t, random.ruleset(8, i%5 == 0), schema, facts, texts)
	}
	if fired < 40_000 {
		t.Errorf("only %d rules fired: the generator is too tame", fired)
	}
}

func TestColumnsAgreeWithRowsOnFullBatches(t *testing.T) {
	schema := orderSchema(t)
	random := source{rand.New(rand.NewPCG(5, 8))}
	facts, texts := generated(t, random, schema, 3*column.Rows)
	for range 6 {
		agree(t, random.ruleset(12, false), schema, facts, texts)
	}
}

// FuzzJudge judges any two facts that decode, beside a Program.
func FuzzJudge(f *testing.F) {
	schema := orderSchema(f)
	random := source{rand.New(rand.NewPCG(2, 2))}
	facts, _ := generated(f, random, schema, 20)
	for i := 0; i < len(facts); i += 2 {
		f.Add(uint64(i), facts[i], facts[i+1])
	}
	f.Fuzz(func(t *testing.T, seed uint64, a, b []byte) {
		text := source{rand.New(rand.NewPCG(seed, 0))}.ruleset(4, false)
		layout := newJudge(t, text, schema).set.Layout
		var record fact.Record
		if layout.Decode(a, &record) != nil || layout.Decode(b, &record) != nil {
			return
		}
		agree(t, text, schema, [][]byte{a, b, a}, []string{"a", "b", "a"})
	})
}
