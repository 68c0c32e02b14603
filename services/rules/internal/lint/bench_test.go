package lint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// BenchmarkCheck looks through 10,000 rules over few fields.
func BenchmarkCheck(b *testing.B) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "rule r%d when amount > %d.00 CNY and card in [\"a%d\", \"b\"] and (paid_orders < %d or email starts_with \"x%d\") then review score 1\n", i, i%977, i, i%7, i)
	}
	file, faults := syntax.Parse(text.String())
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	set, faults := check.Check(file, schema, nil)
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	for b.Loop() {
		Check(file, set, schema)
	}
}
