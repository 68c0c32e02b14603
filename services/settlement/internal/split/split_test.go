package split

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/money"
)

var (
	creator  = Payee{Kind: Creator}
	platform = Payee{Kind: Platform}
	tax      = Payee{Kind: Tax}
)

func in(currency string, minor int64) Amounts {
	return Amounts{{Minor: minor, Currency: currency}}
}

func account(id string) Payee { return Payee{Kind: Account, AccountID: id} }

func price(minor int64, currency string) Sale {
	return Sale{Price: money.Amount{Minor: minor, Currency: currency}, Earned: money.Amount{Currency: currency}}
}

// shown writes parts as "creator 349, platform 100".
func shown(parts []Part) string {
	names := map[Kind]string{Creator: "creator", Platform: "platform", Tax: "tax", Affiliate: "affiliate"}
	var all []string
	for _, part := range parts {
		name := names[part.Payee.Kind]
		if part.Payee.Kind == Account {
			name = part.Payee.AccountID
		}
		all = append(all, fmt.Sprintf("%s %d", name, part.Amount.Minor))
	}
	return strings.Join(all, ", ")
}

func TestPoliciesSplitAsTheySay(t *testing.T) {
	usual := []Share{{Payee: creator, PPM: 700_000}, {Payee: platform, PPM: 200_000}, {Payee: tax, PPM: 100_000}}
	thirds := []Share{{Payee: account("c"), PPM: 333_333}, {Payee: account("b"), PPM: 333_333}, {Payee: account("a"), PPM: 333_334}}
	fee := []Share{{Payee: creator, PPM: 900_000}, {Payee: platform, PPM: 100_000, Fixed: Amounts{{Minor: 30, Currency: "USD"}, {Minor: 50, Currency: "JPY"}}}}
	cases := map[string]struct {
		policy Policy
		sale   Sale
		want   string
	}{
		"percentages":             {Policy{Shares: usual}, price(499, "USD"), "creator 349, platform 100, tax 50"},
		"one yen":                 {Policy{Shares: usual}, price(1, "JPY"), "creator 1"},
		"dinars have three":       {Policy{Shares: usual}, price(1999, "KWD"), "creator 1399, platform 400, tax 200"},
		"ties by id, not order":   {Policy{Shares: thirds}, price(100, "USD"), "a 34, b 33, c 33"},
		"named remainder":         {Policy{Shares: usual, Remainder: &platform}, price(499, "USD"), "creator 349, platform 101, tax 49"},
		"fixed fee first":         {Policy{Shares: fee}, price(1030, "USD"), "creator 900, platform 130"},
		"fixed fee of yen":        {Policy{Shares: fee}, price(60, "JPY"), "creator 9, platform 51"},
		"fee takes all":           {Policy{Shares: fee}, price(30, "USD"), "platform 30"},
		"minimum":                 {Policy{Shares: []Share{{Payee: creator, PPM: 900_000}, {Payee: platform, PPM: 100_000, Minimum: in("USD", 50)}}}, price(200, "USD"), "creator 150, platform 50"},
		"maximum":                 {Policy{Shares: []Share{{Payee: creator, PPM: 900_000}, {Payee: platform, PPM: 100_000, Maximum: in("USD", 50)}}}, price(1000, "USD"), "creator 950, platform 50"},
		"minimum above a maximum": {Policy{Shares: []Share{{Payee: creator, PPM: 500_000}, {Payee: platform, PPM: 400_000, Maximum: in("USD", 10)}, {Payee: tax, PPM: 100_000, Minimum: in("USD", 30)}}}, price(100, "USD"), "creator 60, platform 10, tax 30"},
		"minimum with the fee":    {Policy{Shares: []Share{{Payee: creator, PPM: 1_000_000}, {Payee: tax, Fixed: in("USD", 5), Minimum: in("USD", 20)}}}, price(100, "USD"), "creator 80, tax 20"},
		"no affiliate":            {Policy{Shares: []Share{{Payee: creator, PPM: 800_000}, {Payee: platform, PPM: 100_000}, {Payee: Payee{Kind: Affiliate}, PPM: 100_000}}}, price(100, "USD"), "creator 80, platform 20"},
		"largest price":           {Policy{Shares: usual}, price(math.MaxInt64, "USD"), "creator 6456360425798343065, platform 1844674407370955161, tax 922337203685477581"},
		"nothing for nobody":      {Policy{Shares: []Share{{Payee: creator, PPM: 1_000_000}, {Payee: tax}}}, price(7, "USD"), "creator 7"},
		"remainder at its maximum": {
			Policy{Remainder: &platform, Shares: []Share{{Payee: creator, PPM: 500_000}, {Payee: platform, PPM: 500_000, Maximum: in("USD", 1)}}},
			price(9, "USD"), "creator 8, platform 1",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			parts, err := c.policy.Split(c.sale)
			if err != nil || shown(parts) != c.want {
				t.Errorf("got %s, %v, want %s", shown(parts), err, c.want)
			}
		})
	}
	sale := price(100, "USD")
	sale.Affiliate = true
	parts, err := Policy{Shares: []Share{{Payee: creator, PPM: 900_000}, {Payee: Payee{Kind: Affiliate}, PPM: 100_000}}}.Split(sale)
	if err != nil || shown(parts) != "creator 90, affiliate 10" {
		t.Errorf("got %s, %v", shown(parts), err)
	}
}

func TestTiersBeginAtTheirAmount(t *testing.T) {
	shares := func(ppm uint32) []Share {
		return []Share{{Payee: creator, PPM: ppm}, {Payee: platform, PPM: whole - ppm}}
	}
	p := Policy{Basis: ByPrice, Tiers: []Tier{
		{Shares: shares(500_000)}, {From: in("USD", 1000), Shares: shares(700_000)}, {From: in("USD", 5000), Shares: shares(900_000)},
	}}
	for minor, want := range map[int64]int64{100: 50, 999: 500, 1000: 700, 4999: 3499, 5000: 4500, 10_000: 9000} {
		parts, err := p.Split(price(minor, "USD"))
		if err != nil || parts[0].Amount.Minor != want {
			t.Errorf("%d: %s, %v, want %d", minor, shown(parts), err, want)
		}
	}
	p.Basis = ByVolume
	for earned, want := range map[int64]int64{0: 50, 999: 50, 1000: 70, 5000: 90} {
		sale := price(100, "USD")
		sale.Earned.Minor = earned
		parts, err := p.Split(sale)
		if err != nil || parts[0].Amount.Minor != want {
			t.Errorf("earned %d: %s, %v, want %d", earned, shown(parts), err, want)
		}
	}
	if _, err := p.Split(price(100, "EUR")); !errors.Is(err, ErrPrice) || !strings.Contains(err.Error(), "tiers[1].from: has no amount in EUR") {
		t.Errorf("got %v", err)
	}
}

func TestPricesThatCannotBeSplitAreRefused(t *testing.T) {
	p := Policy{Name: "fees", Shares: []Share{
		{Payee: creator, PPM: 1_000_000, Minimum: in("USD", 40)}, {Payee: platform, Fixed: in("USD", 30)},
	}}
	for name, c := range map[string]struct {
		sale Sale
		kind error
		says string
	}{
		"below the fee":     {price(29, "USD"), ErrPrice, "shares[1].fixed: 0.29 USD does not cover the fixed fees"},
		"below the minimum": {price(69, "USD"), ErrPrice, "shares[0].minimum: 0.69 USD does not cover the minimums"},
		"another currency":  {price(100, "EUR"), ErrPrice, "shares[0].minimum: has no amount in EUR"},
		"nothing":           {price(0, "USD"), ErrPrice, "price: 0 is not above zero"},
		"less than nothing": {price(-5, "USD"), ErrPrice, "price: -5 is not above zero"},
		"no such currency":  {price(5, "XXX"), money.ErrCurrency, "XXX"},
		"volume in another": {Sale{Price: money.Amount{Minor: 5, Currency: "USD"}, Earned: money.Amount{Currency: "EUR"}}, money.ErrCurrency, "earned EUR"},
	} {
		t.Run(name, func(t *testing.T) {
			policy := p
			if name == "volume in another" {
				policy = Policy{Basis: ByVolume, Tiers: []Tier{{Shares: []Share{{Payee: creator, PPM: whole}}}}}
			}
			parts, err := policy.Split(c.sale)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || parts != nil {
				t.Errorf("got %v, %v, want %v that says %q", parts, err, c.kind, c.says)
			}
		})
	}
}

func TestValidateNamesTheField(t *testing.T) {
	all := Share{Payee: creator, PPM: whole}
	tier := func(from Amounts) Tier { return Tier{From: from, Shares: []Share{all}} }
	for says, p := range map[string]Policy{
		"shares: there are 0, want 1 to 16":                                    {},
		"shares: parts per million sum to 999999, want 1000000":                {Shares: []Share{{Payee: creator, PPM: 999_999}}},
		"shares: parts per million sum to 1000001, want 1000000":               {Shares: []Share{all, {Payee: tax, PPM: 1}}},
		"shares[1].payee: has a share already":                                 {Shares: []Share{all, {Payee: creator}}},
		"shares[0].payee: is missing or not known":                             {Shares: []Share{{PPM: whole}}},
		"shares[0].account: is missing":                                        {Shares: []Share{{Payee: Payee{Kind: Account}, PPM: whole}}},
		"shares[0].account: only a payee that is an account has one":           {Shares: []Share{{Payee: Payee{Kind: Tax, AccountID: "x"}, PPM: whole}}},
		"shares[0].fixed[0].minor: -1 is below zero":                           {Shares: []Share{{Payee: creator, PPM: whole, Fixed: in("USD", -1)}}},
		"shares[0].fixed[1].currency: USD appears twice":                       {Shares: []Share{{Payee: creator, PPM: whole, Fixed: append(in("USD", 1), in("USD", 2)...)}}},
		"shares[0].minimum[0].currency: wrong currency":                        {Shares: []Share{{Payee: creator, PPM: whole, Minimum: in("XXX", 1)}}},
		"shares[1].maximum[0]: 0.05 USD is below the minimum or the fixed fee": {Shares: []Share{all, {Payee: tax, Fixed: in("USD", 6), Maximum: in("USD", 5)}}},
		"shares: every percentage has a maximum":                               {Shares: []Share{{Payee: creator, PPM: whole, Maximum: in("USD", 5)}}},
		"shares: must be empty where there are tiers":                          {Shares: []Share{all}, Basis: ByPrice, Tiers: []Tier{tier(nil)}},
		"tier_basis: is missing or not known":                                  {Tiers: []Tier{tier(nil)}},
		"tiers[0].from: the first tier begins at zero and has none":            {Basis: ByPrice, Tiers: []Tier{tier(in("USD", 1))}},
		"tiers[1].from: is missing":                                            {Basis: ByPrice, Tiers: []Tier{tier(nil), tier(nil)}},
		"tiers[2].from[0]: 1.00 USD is not above the tier before":              {Basis: ByPrice, Tiers: []Tier{tier(nil), tier(in("USD", 100)), tier(in("USD", 100))}},
		"tiers[2].from[0]: the tier before has no amount in EUR":               {Basis: ByPrice, Tiers: []Tier{tier(nil), tier(in("USD", 100)), tier(in("EUR", 200))}},
		"tiers[0].shares: parts per million sum to 0":                          {Basis: ByPrice, Tiers: []Tier{{Shares: []Share{{Payee: creator}}}}},
		"remainder: has no percentage in shares":                               {Shares: []Share{all, {Payee: tax}}, Remainder: &tax},
	} {
		var field *FieldError
		err := p.Validate()
		if !errors.Is(err, ErrPolicy) || !errors.As(err, &field) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
		if _, err := p.Split(price(100, "USD")); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: split gives %v", says, err)
		}
	}
}
