package program

import (
	"slices"
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
