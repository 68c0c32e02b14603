package program

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// TestGridsAgreeWithSumsOfAnySize compares which rules on sums of two fields
// fire with what the oracle says: of the numbers that a sample has, of those
// around them, of numbers whose sums overflow and of missing ones. Samples of
// many numbers make for wide cells.
func TestGridsAgreeWithSumsOfAnySize(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const rules = 200
	fired, exact, wide := 0, 0, 0
	for seed := range uint64(20) {
		random := source{rand.New(rand.NewPCG(seed, 12))}
		low, span := -3+random.Int64N(5), 1+random.Int64N(mostAcross-1)
		within := func() int64 { return low + random.Int64N(span) }
		factOf := func(number func() int64) []byte {
			var fields []string
			for _, field := range []string{"paid_orders", "attempts"} {
				if random.IntN(12) > 0 {
					fields = append(fields, fmt.Sprintf("%q: %d", field, number()))
				}
			}
			data, err := schema.FromJSON([]byte("{" + strings.Join(fields, ", ") + "}"))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		var text strings.Builder
		for i := range rules {
			fmt.Fprintf(&text, "rule r%d when card is missing and %s then deny\n", i, random.sum(span))
		}
		samples := make([][]byte, 40)
		for i := range samples {
			samples[i] = factOf(within)
		}
		set := checked(t, schema, text.String())
		builder, order := NewBuilder(NewSample(schema, samples), 0, 0), make([]int32, rules)
		for i, rule := range set.Rules {
			builder.Add(i, rule.When)
			order[i] = int32(i)
		}
		index, frame := builder.Build(order, set.Layout.Root().Extra), NewFrame(set.Addrs)
		if len(index.grids) != 1 {
			t.Fatalf("seed %d: %d grids", seed, len(index.grids))
		}
		g := index.grids[0]
		if g.a.width > 0 {
			wide++
		}
		for range 300 {
			data := factOf(func() int64 { return random.beyond(low, span, within) })
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
				t.Fatalf("seed %d, slots %+v: fired %v, want %v", seed, frame.Record.Slots, got, want)
			}
			fired += len(want)
			if !g.tells(frame.Record.Slots) {
				continue
			}
			exact++
			if left := len(index.entriesOf(frame)); left != len(want) {
				t.Fatalf("seed %d, slots %+v: %d rules are left, %d fire", seed, frame.Record.Slots, left, len(want))
			}
		}
	}
	if fired < 100_000 || exact < 500 || wide < 3 {
		t.Errorf("%d rules fired, %d facts had cells of their own, %d grids had wide cells", fired, exact, wide)
	}
}

// tells reports whether no other numbers are in the cell of those of a fact.
func (g *grid) tells(slots []fact.Slot) bool {
	single := func(x *axis) bool {
		s := &slots[x.slot]
		if !s.OK || !small(s.N, s.N) {
			return false
		}
		low, high := x.span(x.of(s.N))
		return low == s.N && high == s.N
	}
	return single(&g.a) && single(&g.b)
}

// sum is a comparison of a sum of two fields.
func (s source) sum(span int64) string {
	sum := s.pick("paid_orders + attempts", "paid_orders - attempts")
	if s.IntN(4) > 0 {
		sum = fmt.Sprintf("paid_orders * %d %s attempts * %d", s.IntN(9)-4, s.pick("+", "-"), s.IntN(9)-4)
	}
	limit := func() int64 { return s.Int64N(6*span+8) - 2*span }
	switch s.IntN(6) {
	case 0:
		return fmt.Sprintf("%s in [%d, %d, %d]", sum, limit(), limit(), limit())
	case 1:
		return sum + s.pick(" > ", " < ") + s.pick("9223372036854775807", "-9223372036854775807", "1152921504606846976", "1099511627776")
	default:
		return fmt.Sprintf("%s %s %d", sum, s.pick("==", "<", "<=", ">", ">="), limit())
	}
}

// beyond is a number of a sample, one of the last ones on either side, or far
// from all.
func (s source) beyond(low, span int64, within func() int64) int64 {
	switch s.IntN(6) {
	case 0:
		return low - 3 + s.Int64N(6)
	case 1:
		return low + span - 3 + s.Int64N(6)
	case 2:
		return []int64{minInt, maxInt, smallNumber, smallNumber - 1, -smallNumber, -smallNumber - 1}[s.IntN(6)]
	default:
		return within()
	}
}

// checked is the set of a source.
func checked(t *testing.T, schema *fact.Schema, text string) *check.Set {
	t.Helper()
	file, faults := syntax.Parse(text)
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	set, faults := check.Check(file, schema, lists(t))
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return set
}
