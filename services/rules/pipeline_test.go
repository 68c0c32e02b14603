package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// TestPipedIsCompile compiles sources, with faults and without, by one and by
// several goroutines.
func TestPipedIsCompile(t *testing.T) {
	facts := []string{
		benchFact, `{}`, `{"card": "a", "paid_orders": 4, "ip": "10.0.0.1", "email": "ab", "amount": {"minor": 900, "currency": "CNY"}}`,
		`{"card": "b", "attempts": 9, "labels": ["x", "y"], "items": [{"category": "a", "count": 2}], "delta": 3, "device": "d", "risk": 0.9}`,
	}
	schema := orderSchema(t)
	compiled := func(source string, read func(*compiler) []syntax.Fault) string {
		p := newProgram("piped", source, schema, &Options{Lists: &list.Registry{}, Counters: velocity.New(velocity.Config{}), Scope: "s", Version: "v"})
		c := newCompiler(p)
		if faults := read(c); len(faults) > 0 {
			return newErrors("piped", source, faults).Error()
		}
		c.finish()
		return describeAll(p, facts)
	}
	faulty := 0
	for seed := range uint64(20) {
		d := &draft{Rand: rand.New(rand.NewPCG(seed, 9)), parts: []string{`list @own = ["10.0.0.1", "z"]`}}
		for range parcels * parcelItems * int(1+seed%4) {
			d.parts = append(d.parts, d.rule())
		}
		d.parts = append(d.parts, "test \"one\" given { paid_orders: 4 } expect deny because r7", "test \"two\" given { card: \"a\" } expect allow")
		for range seed / 4 {
			d.edit()
		}
		if seed%4 == 3 {
			at := d.IntN(len(d.parts))
			d.parts[at] = strings.Replace(d.parts[at], "then", "then then", 1)
		}
		if seed == 19 { // more faults than are told
			for i := range d.parts {
				d.parts[i] = strings.Replace(d.parts[i], "when", "when unknown == 5 and", 1)
			}
		}
		want := compiled(d.source(), (*compiler).read)
		if got := compiled(d.source(), (*compiler).readPiped); got != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
		if strings.Contains(want, "error:") {
			faulty++
		}
	}
	if faulty < 3 || faulty > 15 {
		t.Errorf("%d of 20 sources had faults", faulty)
	}
}

// TestLargeSourcesArePiped compiles one by the public way.
func TestLargeSourcesArePiped(t *testing.T) {
	var source strings.Builder
	rules := 0
	for ; source.Len() < leastPiped; rules++ {
		fmt.Fprintf(&source, "rule r%d when amount > %d.00 CNY and paid_orders == %d then deny score 1\n", rules, rules, rules%50)
	}
	p, err := Compile("large", source.String(), orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	if err := p.EvaluateJSON([]byte(`{"paid_orders": 7, "amount": {"minor": 100000, "currency": "CNY"}}`), &d, nil); err != nil {
		t.Fatal(err)
	}
	if len(d.Fired) != 20 || d.Score != 20 || len(p.Rules()) != rules { // 7, 57 to 957
		t.Errorf("fired %d, score %d, %d rules of %d", len(d.Fired), d.Score, len(p.Rules()), rules)
	}
}
