package program

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// TestSumsOfTwoAreExact compares sums of two products, by the short way and
// by the checked one, with integers of any size.
func TestSumsOfTwoAreExact(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	number := func(limit int64) int64 {
		switch r.IntN(4) {
		case 0:
			return (limit - 2 + r.Int64N(4)) * (1 - 2*r.Int64N(2))
		case 1:
			return []int64{minInt, maxInt, 0, -1, 1}[r.IntN(5)]
		case 2:
			return r.Int64() >> r.IntN(64)
		default:
			return r.Int64N(2*limit) - limit
		}
	}
	field := func(slot int) *check.Node {
		return &check.Node{Op: check.Field, Slot: slot, Type: check.Type{Kind: fact.Int}}
	}
	constant := func(v int64) *check.Node {
		return &check.Node{Op: check.Const, Value: fact.Slot{N: v, OK: true}, Type: check.Type{Kind: fact.Int}}
	}
	binary := func(op check.Op, a, b *check.Node) *check.Node {
		return &check.Node{Op: op, Args: []*check.Node{a, b}, Type: check.Type{Kind: fact.Int}}
	}
	fitted := 0
	for range 20_000 {
		x, y, a, b := number(smallNumber), number(smallNumber), number(smallFactor), number(smallFactor)
		op := []check.Op{check.Add, check.Sub}[r.IntN(2)]
		left := binary(op, binary(check.Mul, field(0), constant(a)), binary(check.Mul, field(1), constant(b)))
		v, w := new(big.Int).Mul(big.NewInt(x), big.NewInt(a)), new(big.Int).Mul(big.NewInt(y), big.NewInt(b))
		total := new(big.Int).Add(v, w)
		if op == check.Sub {
			total.Sub(v, w)
		}
		limit := total.Int64() + r.Int64N(3) - 1
		want := v.IsInt64() && w.IsInt64() && total.IsInt64() && total.Int64() > limit
		f := NewFrame(0)
		f.Record.Slots = []fact.Slot{{N: x, OK: true}, {N: y, OK: true}}
		if got := Compile(binary(check.Gt, left, constant(limit)))(f); got != want {
			t.Fatalf("seed %d: %d*%d %v %d*%d > %d is %t, want %t", seed, x, a, op, y, b, limit, got, want)
		}
		if want {
			fitted++
		}
	}
	if fitted < 1000 {
		t.Errorf("only %d sums fit and hold", fitted)
	}
}
