package money

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func minors(amounts []Amount) []int64 {
	all := make([]int64, len(amounts))
	for i, amount := range amounts {
		all[i] = amount.Minor
	}
	return all
}

func TestSplitGivesLeftoverToLargestRemainderThenLowestIndex(t *testing.T) {
	cases := []struct {
		total   int64
		weights []uint32
		want    []int64
	}{
		{100, []uint32{333_300, 333_300, 333_400}, []int64{33, 33, 34}},
		{499, []uint32{700_000, 200_000, 100_000}, []int64{349, 100, 50}},
		{1, []uint32{500_000, 500_000}, []int64{1, 0}},
		{-1, []uint32{500_000, 500_000}, []int64{-1, 0}},
		{5, []uint32{250_000, 250_000, 250_000, 250_000}, []int64{2, 1, 1, 1}},
		{0, []uint32{1_000_000}, []int64{0}},
		{-9223372036854775808, []uint32{1_000_000}, []int64{-9223372036854775808}},
	}
	for _, c := range cases {
		got, err := Split(usd(c.total), c.weights)
		if err != nil || !slices.Equal(minors(got), c.want) {
			t.Errorf("Split(%d, %v) = %v, %v, want %v", c.total, c.weights, minors(got), err, c.want)
		}
	}
}

func TestSplitRefusesWrongShares(t *testing.T) {
	for _, weights := range [][]uint32{nil, {}, {999_999}, {1_000_001}, {500_000, 499_999}, {4_294_967_295, 1_000_001}} {
		if _, err := Split(usd(100), weights); !errors.Is(err, ErrShares) {
			t.Errorf("%v: got %v, want ErrShares", weights, err)
		}
	}
}

func TestSplitIsExactFairAndSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64().Draw(t, "total")
		weights := drawWeights(t)
		parts, err := Split(usd(total), weights)
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, part := range parts {
			sum.Add(sum, big.NewInt(part.Minor))
			// |part*1e6 - total*weight| < 1e6: within one minor unit.
			exact := new(big.Int).Mul(big.NewInt(total), big.NewInt(int64(weights[i])))
			gap := new(big.Int).Mul(big.NewInt(part.Minor), big.NewInt(whole))
			if gap.Sub(gap, exact).CmpAbs(big.NewInt(whole)) >= 0 {
				t.Fatalf("part %d of %d is %d", i, total, part.Minor)
			}
		}
		if sum.Cmp(big.NewInt(total)) != 0 {
			t.Fatalf("parts sum to %v, want %d", sum, total)
		}
		opposite, err := usd(total).Neg()
		if err != nil {
			return
		}
		mirrored, err := Split(opposite, weights)
		if err != nil {
			t.Fatal(err)
		}
		for i := range parts {
			if parts[i].Minor != -mirrored[i].Minor {
				t.Fatalf("part %d: %d and %d", i, parts[i].Minor, mirrored[i].Minor)
			}
		}
	})
}

// drawWeights cuts a million at up to seven random places.
func drawWeights(t *rapid.T) []uint32 {
	cuts := rapid.SliceOfN(rapid.Uint32Range(0, whole), 0, 7).Draw(t, "cuts")
	cuts = append(cuts, 0, whole)
	slices.Sort(cuts)
	weights := make([]uint32, len(cuts)-1)
	for i := range weights {
		weights[i] = cuts[i+1] - cuts[i]
	}
	return weights
}

func TestApportionTakesNoMoreThanAWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint64Range(0, 1<<58), 1, 16).Draw(t, "weights")
		sum := uint64(0)
		for _, weight := range weights {
			sum += weight
		}
		if sum == 0 {
			return
		}
		total := rapid.Int64Range(0, int64(sum)).Draw(t, "total")
		parts, err := Apportion(usd(total), weights)
		if err != nil {
			t.Fatal(err)
		}
		left := total
		for i, part := range parts {
			left -= part.Minor
			if part.Minor < 0 || uint64(part.Minor) > weights[i] {
				t.Fatalf("part %d of weight %d is %d", i, weights[i], part.Minor)
			}
		}
		if left != 0 {
			t.Fatalf("parts leave %d of %d", left, total)
		}
	})
	for _, weights := range [][]uint64{nil, {0, 0}, {1 << 63, 1 << 63}} {
		if _, err := Apportion(usd(5), weights); !errors.Is(err, ErrShares) {
			t.Errorf("%v: got %v, want ErrShares", weights, err)
		}
	}
}
