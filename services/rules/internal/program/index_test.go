package program

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Of rules that always hold there is no code at all.
func TestRulesWithoutCodeFire(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	file, faults := syntax.Parse("rule a when true then deny rule b when 1 < 2 then deny")
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	set, faults := check.Check(file, schema, lists(t))
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	builder := NewBuilder(nil, 0, 0)
	for i, rule := range set.Rules {
		builder.Add(i, rule.When)
	}
	index, frame := builder.Build([]int32{0, 1}, set.Layout.Root().Extra), NewFrame(set.Addrs)
	data, err := schema.FromJSON([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Layout.Decode(data, &frame.Record); err != nil {
		t.Fatal(err)
	}
	if got := index.Fire(frame); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("rules %v fire, want both", got)
	}
}

// Alternatives that compare fields, beside other conditions, are asked once
// for all rules that have them: code of a rule that they exclude does not run.
func TestSharedAlternativesExcludeRules(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const rules = 40
	var source strings.Builder
	for i := range rules {
		fmt.Fprintf(&source, "rule r%d when paid_orders != %d and (card == email or paid_orders < delta) then deny\n", i, i)
	}
	file, faults := syntax.Parse(source.String())
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	set, faults := check.Check(file, schema, lists(t))
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	builder, order := NewBuilder(nil, 0, 0), make([]int32, rules)
	for i, rule := range set.Rules {
		builder.Add(i, rule.When)
		order[i] = int32(i)
	}
	index, frame := builder.Build(order, set.Layout.Root().Extra), NewFrame(set.Addrs)
	for text, want := range map[string][2]int{ // positions left, rules that fire
		`{"card": "x", "email": "x", "paid_orders": 3}`:             {rules, rules - 1},
		`{"card": "x", "email": "y", "paid_orders": 3}`:             {1, 0},
		`{"card": "x", "email": "y", "paid_orders": 3, "delta": 4}`: {rules, rules - 1},
		`{"card": "x"}`: {1, 0},
	} {
		data, err := schema.FromJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		frame.Reset()
		if err := set.Layout.Decode(data, &frame.Record); err != nil {
			t.Fatal(err)
		}
		fired := len(index.Fire(frame))
		frame.begin(index)
		index.candidates(frame)
		left := len(index.entriesOf(frame))
		if left != want[0] || fired != want[1] {
			t.Errorf("%s: %d positions are left and %d rules fire, want %v", text, left, fired, want)
		}
	}
}
