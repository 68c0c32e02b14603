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

// Rules whose patterns end in an @ or a # are found by what stands before it,
// wherever and however often it is there.
func TestClosersAgreeWithPatterns(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fired, spared := 0, 0
	for seed := range uint64(10) {
		random := source{rand.New(rand.NewPCG(seed, 23))}
		var rules strings.Builder
		for i := range 100 {
			digit := random.IntN(10)
			pattern := random.pick("(li|kim)[0-9]*%d[0-9]?@", "[0-9]%d@", "(a|中)[0-9]%d?@", "(%d|中|b)@", "[a-z]*%d[a-z0-9]?#", "([ab]%d@)+", "[a-b]+[0-9]@%.0d")
			fmt.Fprintf(&rules, "rule r%d when email matches /%s/ then deny\n", i, fmt.Sprintf(pattern, digit))
		}
		set := checked(t, schema, rules.String())
		builder, order := NewBuilder(nil, 0, 0), make([]int32, len(set.Rules))
		builder.all = true
		for i, rule := range set.Rules {
			builder.Add(i, rule.When)
			order[i] = int32(i)
		}
		index, frame := builder.Build(order, set.Layout.Root().Extra), NewFrame(set.Addrs)
		closers := 0
		for i := range index.facets {
			if _, ok := index.facets[i].looks[0].masker.(*closed); ok {
				closers++
			}
		}
		if closers != 2 {
			t.Fatalf("seed %d: facets of %d closers", seed, closers)
		}
		for range 200 {
			var email strings.Builder
			for range 1 + random.IntN(4) {
				email.WriteString(random.pick("li", "kim", "a", "b", "中", "", "@", "#"))
				email.WriteString(random.pick("", "7", "13", "205", fmt.Sprint(random.IntN(1000))))
				email.WriteString(random.pick("@", "#", "", "x@"))
			}
			data, err := schema.FromJSON([]byte(fmt.Sprintf(`{"email": %q}`, email.String())))
			if err != nil {
				t.Fatal(err)
			}
			frame.Reset()
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			var want []int32
			for i, rule := range set.Rules {
				if oracle(rule.When, frame) == yes {
					want = append(want, int32(i))
				}
			}
			if got := index.Fire(frame); !slices.Equal(got, want) {
				t.Fatalf("seed %d, %q: fired %v, want %v", seed, email.String(), got, want)
			}
			fired += len(want)
			spared += len(set.Rules) - len(index.entriesOf(frame))
		}
	}
	if fired < 5_000 || spared < 100_000 {
		t.Errorf("%d rules fired, %d were spared", fired, spared)
	}
}
