package column_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// BenchmarkRule judges rows by a rule of four conditions.
func BenchmarkRule(b *testing.B) {
	schema := orderSchema(b)
	random := rand.New(rand.NewPCG(1, 1))
	var facts [][]byte
	for range column.Rows {
		text := fmt.Sprintf(`{"amount": {"minor": %d, "currency": "CNY"}, "account_age": %d, "channel": %d, "billing": {"country": "%c%c"}}`,
			random.IntN(100_000), random.Int64N(60*86_400_000_000), 1+random.IntN(2), 'a'+random.IntN(8), 'a'+random.IntN(5))
		data, err := schema.FromJSON([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		facts = append(facts, data)
	}
	for name, when := range map[string]string{
		"mixed":   `amount > 500.00 CNY and account_age < 7d and channel == "APP" and billing.country in ["ab", "cd", "ee"]`,
		"numbers": `amount > 500.00 CNY and account_age < 30d and channel == "APP" and amount < 900.00 CNY`,
		"all":     `amount > 50.00 CNY and account_age < 59d and channel != "UNSPECIFIED" and billing.country != "ab"`,
	} {
		b.Run(name, func(b *testing.B) {
			file, faults := syntax.Parse("rule r when " + when + " then deny")
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			set, faults := check.Check(file, schema, nil)
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			j := &judge{set: set, plan: column.NewPlan(set, "at"), state: column.NewState(column.Compile(set), rates)}
			j.rules = []column.Rule{{Rule: set.Rules[0], Name: "r"}}
			j.builder = column.NewBuilder(j.plan)
			var batch column.Batch
			var verdicts column.Verdicts
			j.batch(b, facts, &batch)
			b.ReportAllocs()
			fired := 0
			for b.Loop() {
				j.state.Begin(&batch)
				j.state.Judge(j.rules, &verdicts)
				fired += verdicts.Fired[0].Count()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*column.Rows), "ns/row")
			b.ReportMetric(float64(fired)/float64(b.N*column.Rows), "fired")
		})
	}
}
