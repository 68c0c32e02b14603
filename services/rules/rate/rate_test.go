package rate

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/money"
)

var worths = map[string]string{
	"CNY": "0.1402", "EUR": "1.0837", "JPY": "0.0066", "KWD": "3.25", "CLF": "39.1", "IDR": "0.000061", "VND": "0.000000001", "BHD": "1000000",
}

func table(t *testing.T) *Table {
	t.Helper()
	made, err := New("v1", "USD", worths)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// exact converts with fractions of any size.
func exact(minor int64, from, to string) *big.Rat {
	worth := func(currency string) *big.Rat {
		text := worths[currency]
		if currency == "USD" {
			text = "1"
		}
		value, _ := new(big.Rat).SetString(text)
		digits, _ := money.Exponent(currency)
		return value.Quo(value, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	}
	amount := new(big.Rat).Mul(new(big.Rat).SetInt64(minor), worth(from))
	return amount.Quo(amount, worth(to))
}

// round rounds half to even.
func round(r *big.Rat) *big.Int {
	down, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	switch new(big.Int).Mul(rest, big.NewInt(2)).Cmp(r.Denom()) {
	case 1:
		return down.Add(down, big.NewInt(1))
	case 0:
		return down.Add(down, new(big.Int).And(down, big.NewInt(1)))
	}
	return down
}

func TestConversionIsThatOfExactFractions(t *testing.T) {
	made := table(t)
	random := rand.New(rand.NewPCG(1, 2))
	currencies := []string{"USD", "CNY", "EUR", "JPY", "KWD", "CLF", "IDR", "VND", "BHD"}
	overflows := 0
	for range 50_000 {
		minor := int64(random.Uint64()) >> random.IntN(64)
		if random.IntN(20) == 0 {
			minor = []int64{math.MinInt64, math.MaxInt64, 0, 1, -1, 5, 50}[random.IntN(7)]
		}
		from, to := currencies[random.IntN(len(currencies))], currencies[random.IntN(len(currencies))]
		want := round(exact(minor, from, to))
		got, result := made.Convert(minor, from, to)
		if !want.IsInt64() {
			overflows++
			if result != Overflow {
				t.Fatalf("%d %s to %s: %d, %v; want an overflow", minor, from, to, got, result)
			}
			continue
		}
		if result != OK || got != want.Int64() {
			t.Fatalf("%d %s to %s: %d, %v; want %v", minor, from, to, got, result, want)
		}
	}
	if overflows == 0 {
		t.Error("no overflow was tried")
	}
}

func TestHalvesGoToTheEvenNumber(t *testing.T) {
	made, err := New("", "USD", map[string]string{"EUR": "0.5"})
	if err != nil {
		t.Fatal(err)
	}
	for minor, want := range map[int64]int64{1: 0, 3: 2, 5: 2, 7: 4, -1: 0, -3: -2, -5: -2, 8: 4} {
		if got, result := made.Convert(minor, "EUR", "USD"); result != OK || got != want {
			t.Errorf("%d: %d, %v; want %d", minor, got, result, want)
		}
	}
}

func TestWhatHasNoRateIsTold(t *testing.T) {
	made := table(t)
	var none *Table
	var ref *Ref
	for _, c := range []struct {
		table    *Table
		from, to string
		want     Result
	}{
		{made, "GBP", "USD", NoRate},
		{made, "USD", "GBP", NoRate},
		{made, "", "USD", NoRate},
		{made, "GBP", "GBP", OK},
		{none, "USD", "EUR", NoRate},
		{none, "USD", "USD", OK},
		{ref.Get(), "USD", "EUR", NoRate},
		{made, "CNY", "EUR", OK},
	} {
		if _, got := c.table.Convert(100, c.from, c.to); got != c.want {
			t.Errorf("%s to %s: %v", c.from, c.to, got)
		}
	}
}

func TestBadTablesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"CNY 0.14":                    "line 1: rate: bad table: want the base first",
		"base ABC":                    `base "ABC" is not in ISO 4217`,
		"base USD\nXYZ 1":             `line 2: rate: bad table: currency "XYZ" is not in ISO 4217`,
		"base USD\n\nCNY -1":          `line 3: rate: bad table: rate "-1" of CNY: want a decimal above 0`,
		"base USD\nCNY 0":             `rate "0" of CNY`,
		"base USD\nCNY 1000000.1":     "at most 1000000",
		"base USD\nCNY 0.0000000001":  "up to 9 digits",
		"base USD\nCNY 1.":            `rate "1." of CNY`,
		"base USD\nCNY 1 2":           "line 2: rate: bad table: want a currency and its rate",
		"base USD\nCNY 1\nCNY 2":      "line 3: rate: bad table: a second rate of CNY",
		"base USD\nUSD 2":             "the base is worth 1",
		"":                            `base "" is not in ISO 4217`,
		"# rates\nbase USD\nCNY 1e-3": `rate "1e-3" of CNY`,
	} {
		if _, err := Read(strings.NewReader(text), ""); !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	got, err := Read(strings.NewReader("# of Friday\nbase USD\nCNY 0.1402\nUSD 1\n"), "v7")
	if err != nil || got.Len() != 2 || got.Version() != "v7" {
		t.Errorf("%+v, %v", got, err)
	}
}
