package money

import (
	"errors"
	"testing"
)

func TestFormatAndParseAgree(t *testing.T) {
	cases := map[string]Amount{
		"4.99 USD":                  {499, "USD"},
		"0.05 EUR":                  {5, "EUR"},
		"-0.05 EUR":                 {-5, "EUR"},
		"0.00 GBP":                  {0, "GBP"},
		"-500 JPY":                  {-500, "JPY"},
		"1.234 KWD":                 {1234, "KWD"},
		"0.0007 CLF":                {7, "CLF"},
		"-92233720368547758.08 USD": {-9223372036854775808, "USD"},
		"9223372036854775807 JPY":   {9223372036854775807, "JPY"},
		"-9223372036854775808 JPY":  {-9223372036854775808, "JPY"},
		"-922337203685477.5808 CLF": {-9223372036854775808, "CLF"},
		"9223372036854775.807 KWD":  {9223372036854775807, "KWD"},
		"92233720368547758.07 USD":  {9223372036854775807, "USD"},
		"10000000000000000.00 USD":  {1_000_000_000_000_000_000, "USD"},
		"-10000000000000000.01 USD": {-1_000_000_000_000_000_001, "USD"},
		"-1000000000000000000 JPY":  {-1_000_000_000_000_000_000, "JPY"},
		"100000000000000.0000 UYW":  {1_000_000_000_000_000_000, "UYW"},
		"-100000000000000.0001 UYW": {-1_000_000_000_000_000_001, "UYW"},
		"1000000000000000.001 TND":  {1_000_000_000_000_000_001, "TND"},
	}
	for text, amount := range cases {
		if got := amount.Format(); got != text {
			t.Errorf("Format(%d %s) = %q, want %q", amount.Minor, amount.Currency, got, text)
		}
		if got, err := Parse(text); err != nil || got != amount {
			t.Errorf("Parse(%q) = %v, %v", text, got, err)
		}
	}
	if got, err := Parse("5 USD"); err != nil || got != (Amount{500, "USD"}) {
		t.Errorf("Parse(5 USD) = %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]error{
		"": ErrSyntax, "4.99": ErrSyntax, "4.9 USD": ErrSyntax, "4.999 USD": ErrSyntax,
		".99 USD": ErrSyntax, "4. USD": ErrSyntax, "+4.99 USD": ErrSyntax, "--4.99 USD": ErrSyntax,
		"1e3 JPY": ErrSyntax, "500. JPY": ErrSyntax, " USD": ErrSyntax, "1_000 JPY": ErrSyntax,
		"4.99 usd": ErrCurrency, "4.99 XXX": ErrCurrency, "4.99  USD": ErrCurrency, "4.99 USD ": ErrCurrency,
		"9223372036854775808 JPY": ErrOverflow, "92233720368547758.08 USD": ErrOverflow,
	}
	for text, want := range cases {
		if got, err := Parse(text); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestFormatOfUnknownCurrencyShowsMinorUnits(t *testing.T) {
	if got := (Amount{499, "XXX"}).Format(); got != `499 minor units of "XXX"` {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"4.99 USD", "-0.05 EUR", "5 USD", "-0 JPY", "1.234 KWD", "x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(amount.Format())
		if err != nil || again != amount {
			t.Fatalf("%q is %v, whose text %q is %v, %v", text, amount, amount.Format(), again, err)
		}
	})
}
