package program

import (
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// A span beyond the greatest number is none: no element is in it, so `all` of
// it holds for empty lists alone.
func TestAllOfNoNumberHoldsForNoElement(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range []string{"item.price > 92233720368547758.07 CNY", "item.count > 9223372036854775807"} {
		file, faults := syntax.Parse("rule r when all item in items (" + condition + ") then deny")
		if len(faults) > 0 {
			t.Fatalf("%+v", faults)
		}
		set, faults := check.Check(file, schema, lists(t))
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", condition, faults)
		}
		builder := NewBuilder(nil, 0, 0)
		builder.all = true
		builder.Add(0, set.Rules[0].When)
		index, frame := builder.Build([]int32{0}, set.Layout.Root().Extra), NewFrame(set.Addrs)
		for text, want := range map[string]int{`{"items": [{"price": {"minor": 5, "currency": "CNY"}, "count": 5}]}`: 0, `{"items": []}`: 1} {
			data, err := schema.FromJSON([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			frame.Reset()
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			if got := len(index.Fire(frame)); got != want {
				t.Errorf("all of %s with %s: %d rules fire, want %d", condition, text, got, want)
			}
		}
	}
}
