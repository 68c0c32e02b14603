package rules

import (
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

// A sample is learned from where its facts have the fields that are judged, of
// whichever schema, and is passed over where they have others.
func TestSampleIsOfFactsWithTheSameFields(t *testing.T) {
	schema := orderSchema(t)
	wire, err := schema.FromJSON([]byte(`{"card": "x"}`))
	if err != nil {
		t.Fatal(err)
	}
	sample := NewSample(schema, [][]byte{wire})
	if sample.of(schema) == nil || sample.of(orderSchema(t)) != sample.of(schema) {
		t.Error("not learned from for its own fields")
	}
	other, err := fact.New(facttest.Order().Fields().ByName("items").Message(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if sample.of(other) != nil || (*Sample)(nil).of(schema) != nil {
		t.Error("learned from for other fields, or from nothing")
	}
	program, err := Compile("r", `rule a when count > 1 then deny`, other, &Options{Sample: sample})
	if err != nil {
		t.Fatal(err)
	}
	if wire, err = other.FromJSON([]byte(`{"count": 2}`)); err != nil {
		t.Fatal(err)
	}
	if got := fired(t, program, wire); len(got) != 1 {
		t.Errorf("fired %v", got)
	}
}
