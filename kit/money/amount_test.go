package money

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func usd(minor int64) Amount { return Amount{minor, "USD"} }

func TestArithmeticRefusesTwoCurrencies(t *testing.T) {
	euro := Amount{1, "EUR"}
	_, addErr := usd(1).Add(euro)
	_, subErr := usd(1).Sub(euro)
	_, cmpErr := usd(1).Cmp(euro)
	for _, err := range []error{addErr, subErr, cmpErr} {
		if !errors.Is(err, ErrCurrency) {
			t.Errorf("got %v, want ErrCurrency", err)
		}
	}
}

func TestArithmeticEqualsBigIntegersOrOverflows(t *testing.T) {
	edge := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
		math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64,
	}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := edge.Draw(t, "a"), edge.Draw(t, "b")
		sum, err := usd(a).Add(usd(b))
		checkBig(t, new(big.Int).Add(big.NewInt(a), big.NewInt(b)), sum, err)
		rest, err := usd(a).Sub(usd(b))
		checkBig(t, new(big.Int).Sub(big.NewInt(a), big.NewInt(b)), rest, err)
		negated, err := usd(a).Neg()
		checkBig(t, new(big.Int).Neg(big.NewInt(a)), negated, err)
		order, err := usd(a).Cmp(usd(b))
		if want := big.NewInt(a).Cmp(big.NewInt(b)); err != nil || order != want {
			t.Fatalf("Cmp(%d, %d) = %d, %v", a, b, order, err)
		}
	})
}

func checkBig(t *rapid.T, want *big.Int, got Amount, err error) {
	t.Helper()
	if !want.IsInt64() {
		if !errors.Is(err, ErrOverflow) {
			t.Fatalf("want ErrOverflow for %v, got %v, %v", want, got, err)
		}
		return
	}
	if err != nil || got != usd(want.Int64()) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
}

func TestFromProtoRefusesWhatIsNoMoney(t *testing.T) {
	for _, amount := range []Amount{{}, {1, "usd"}, {1, "XXX"}, {1, "US"}} {
		if _, err := FromProto(amount.ToProto()); !errors.Is(err, ErrCurrency) {
			t.Errorf("%v: got %v, want ErrCurrency", amount, err)
		}
	}
	if _, err := FromProto(nil); !errors.Is(err, ErrCurrency) {
		t.Errorf("nil: got %v, want ErrCurrency", err)
	}
	if got, err := FromProto(usd(499).ToProto()); err != nil || got != usd(499) {
		t.Errorf("got %v, %v", got, err)
	}
}
