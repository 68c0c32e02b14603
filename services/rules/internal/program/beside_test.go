package program

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

// What every element must satisfy is looked at beside what one must.
func TestEveryElementBesideOne(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fired := 0
	for seed := range uint64(24) {
		random := source{rand.New(rand.NewPCG(seed, 29))}
		number := func() string { return fmt.Sprint(random.IntN(12)) }
		field, unit := "price", ".00 CNY"
		if seed%4 == 0 {
			field, unit = "count", ""
		}
		compare := [][]string{{"<", "<="}, {">", ">="}, {"<", ">", "=="}}[seed%3]
		var rules strings.Builder
		for i := range 80 {
			condition := fmt.Sprintf("any item in items (item.category == %q and item.%s > %s%s)", random.pick("a", "b", "c"), field, number(), unit)
			if random.IntN(2) == 0 {
				condition = fmt.Sprintf("all item in items (item.%s %s %s%s)", field, random.pick(compare...), number(), unit)
			}
			fmt.Fprintf(&rules, "rule r%d when %s and delta != %d then deny\n", i, condition, i)
		}
		set := checked(t, schema, rules.String())
		builder, order := NewBuilder(nil, 0, 0), make([]int32, len(set.Rules))
		builder.all = true
		for i, rule := range set.Rules {
			builder.Add(i, rule.When)
			order[i] = int32(i)
		}
		index, frame := builder.Build(order, set.Layout.Root().Extra), NewFrame(set.Addrs)
		at := slices.IndexFunc(index.facets, func(a facet) bool { return a.beside != nil })
		if at < 0 {
			t.Fatalf("seed %d: no facet is beside another", seed)
		}
		for range 200 {
			items := make([]string, random.IntN(5))
			for i := range items {
				item := []string{fmt.Sprintf(`"category": %q`, random.pick("a", "b", "c", "d", ""))}
				if random.IntN(8) > 0 {
					item = append(item, fmt.Sprintf(`"price": {"minor": %d, "currency": %q}`, 100*random.IntN(12), random.pick("CNY", "CNY", "CNY", "CNY", "USD")))
				}
				if random.IntN(8) > 0 {
					item = append(item, `"count": `+number())
				}
				items[i] = "{" + strings.Join(item, ", ") + "}"
			}
			text := `{"delta": 3, "items": [` + strings.Join(items, ", ") + "]}"
			data, err := schema.FromJSON([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			frame.Reset()
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			frame.Record.Slots[index.facets[at].list].OK = random.IntN(10) > 0
			var want []int32
			for i, rule := range set.Rules {
				if oracle(rule.When, frame) == yes {
					want = append(want, int32(i))
				}
			}
			if got := index.Fire(frame); !slices.Equal(got, want) {
				t.Fatalf("seed %d, %s: fired %v, want %v", seed, text, got, want)
			}
			fired += len(want)
		}
	}
	if fired < 50_000 {
		t.Errorf("only %d rules fired", fired)
	}
}
