package program

import (
	"math/rand/v2"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// TestDifferencesCompareAsCheckedArithmeticDoes compares linear expressions of
// numbers of any size, some of them missing, and amounts of two currencies, by
// their difference and one by one.
func TestDifferencesCompareAsCheckedArithmeticDoes(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	slots := make([]fact.Slot, 5)
	kind := fact.Int
	number := func(limit int64) int64 {
		switch r.IntN(8) {
		case 0:
			return (limit - 2 + r.Int64N(4)) * (1 - 2*r.Int64N(2))
		case 1:
			return []int64{minInt, maxInt, 0, -1, 1}[r.IntN(5)]
		case 2:
			return r.Int64() >> r.IntN(64)
		default:
			return r.Int64N(40) - 20
		}
	}
	currency := func() string {
		switch {
		case kind != fact.Money:
			return ""
		case r.IntN(10) == 0:
			return "USD"
		}
		return "CNY"
	}
	summand := func() *check.Node {
		field := &check.Node{Op: check.Field, Slot: r.IntN(len(slots)), Type: check.Type{Kind: kind}}
		switch r.IntN(4) {
		case 0:
			return &check.Node{Op: check.Const, Value: fact.Slot{N: number(smallNumber), S: currency(), OK: true}, Type: check.Type{Kind: kind}}
		case 1:
			return field
		default:
			factor := &check.Node{Op: check.Const, Value: fact.Slot{N: number(smallFactor), OK: true}, Type: check.Type{Kind: fact.Int}}
			return &check.Node{Op: check.Mul, Args: []*check.Node{field, factor}, Type: check.Type{Kind: kind}}
		}
	}
	sum := func() *check.Node {
		n := summand()
		for range r.IntN(3) {
			op := []check.Op{check.Add, check.Sub}[r.IntN(2)]
			n = &check.Node{Op: op, Args: []*check.Node{n, summand()}, Type: check.Type{Kind: kind}}
		}
		return n
	}
	balanced, held := 0, 0
	for range 200_000 {
		kind = []fact.Kind{fact.Int, fact.Money}[r.IntN(2)]
		op := []check.Op{check.Eq, check.Ne, check.Lt, check.Le, check.Gt, check.Ge}[r.IntN(6)]
		a, b := sum(), sum()
		exact := compareAny(op, a, b)
		short := balance(op, a, b, func() Cond { return exact })
		if short == nil {
			continue
		}
		balanced++
		for i := range slots {
			slots[i] = fact.Slot{N: number(smallNumber), S: currency(), OK: true}
			if r.IntN(20) == 0 {
				slots[i] = fact.Slot{}
			}
		}
		f, g := NewFrame(0), NewFrame(0)
		f.Record.Slots, g.Record.Slots = slots, slots
		got, want := short(f), exact(g)
		if got != want || f.Unknown != g.Unknown {
			t.Fatalf("seed %d: %v of %+v: got %t %+v, want %t %+v", seed, op, slots, got, f.Unknown, want, g.Unknown)
		}
		if got {
			held++
		}
	}
	if balanced < 50_000 || held < 10_000 {
		t.Errorf("%d comparisons had a difference, %d of them held", balanced, held)
	}
}
