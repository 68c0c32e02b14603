package split

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/backlot-video/backlot/kit/money"
)

var currencies = []string{"USD", "JPY", "KWD", "CLF"}

// TestPartsSumToThePriceWithinTheirBounds is over all int64 prices and over
// policies of every shape. A refusal must be for a price that truly is too low.
func TestPartsSumToThePriceWithinTheirBounds(t *testing.T) {
	refused, split := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom(currencies).Draw(t, "currency")
		policy := drawPolicy(t, currency)
		if err := policy.Validate(); err != nil {
			t.Fatalf("drew an invalid policy: %v", err)
		}
		sale := price(drawAmount(t, "price"), currency)
		sale.Price.Minor++ // above zero
		sale.Earned.Minor = drawAmount(t, "earned")
		sale.Affiliate = rapid.Bool().Draw(t, "affiliate")
		_, shares, err := policy.shares(sale)
		if err != nil {
			t.Fatal(err)
		}
		needed := new(big.Int)
		for _, share := range shares {
			fixed, _ := share.Fixed.of(currency)
			least, _ := share.Minimum.of(currency)
			needed.Add(needed, big.NewInt(max(fixed, least)))
		}
		parts, err := policy.Split(sale)
		if tooLow := needed.Cmp(big.NewInt(sale.Price.Minor)) > 0; tooLow {
			if !errors.Is(err, ErrPrice) || parts != nil {
				t.Fatalf("%v needed of %v, got %v, %v", needed, sale.Price, parts, err)
			}
			refused++
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		split++
		checkParts(t, shares, sale, parts)
		shuffle(t, &policy)
		again, err := policy.Split(sale)
		if err != nil || shown(again) != shown(parts) {
			t.Fatalf("in another order of shares: %s, %v, want %s", shown(again), err, shown(parts))
		}
	})
	if refused == 0 || split == 0 {
		t.Errorf("%d prices were refused, %d split: the policies drawn show nothing", refused, split)
	}
}

func checkParts(t *rapid.T, shares []Share, sale Sale, parts []Part) {
	sum := new(big.Int)
	got := map[Payee]int64{}
	for _, part := range parts {
		if part.Amount.Minor <= 0 || part.Amount.Currency != sale.Price.Currency {
			t.Fatalf("part %v", part)
		}
		if _, twice := got[part.Payee]; twice {
			t.Fatalf("payee %v appears twice", part.Payee)
		}
		sum.Add(sum, big.NewInt(part.Amount.Minor))
		got[part.Payee] = part.Amount.Minor
	}
	if sum.Cmp(big.NewInt(sale.Price.Minor)) != 0 {
		t.Fatalf("parts sum to %v, the price is %v", sum, sale.Price)
	}
	for _, share := range shares {
		if !sale.Affiliate && (share.Payee.Kind == Affiliate || share.Payee.Kind == Platform) {
			continue // they run together
		}
		fixed, _ := share.Fixed.of(sale.Price.Currency)
		least, _ := share.Minimum.of(sale.Price.Currency)
		if got[share.Payee] < max(fixed, least) {
			t.Fatalf("%v gets %d, at least %d", share.Payee, got[share.Payee], max(fixed, least))
		}
		if most, found := share.Maximum.of(sale.Price.Currency); found && got[share.Payee] > most {
			t.Fatalf("%v gets %d, at most %d", share.Payee, got[share.Payee], most)
		}
	}
}

// TestPlainPercentagesAreThoseOfMoneySplit ties the two implementations.
func TestPlainPercentagesAreThoseOfMoneySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var policy Policy
		weights := drawWeights(t, rapid.IntRange(1, MaxShares).Draw(t, "shares"))
		for i, weight := range weights {
			policy.Shares = append(policy.Shares, Share{Payee: account(fmt.Sprintf("%02d", i)), PPM: weight})
		}
		sale := price(rapid.Int64Range(1, math.MaxInt64).Draw(t, "price"), "USD")
		parts, err := policy.Split(sale)
		if err != nil {
			t.Fatal(err)
		}
		want, err := money.Split(sale.Price, weights)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, part := range parts {
			got[part.Payee.AccountID] = part.Amount.Minor
		}
		for i, amount := range want {
			if got[fmt.Sprintf("%02d", i)] != amount.Minor {
				t.Fatalf("share %d: %d, want %d", i, got[fmt.Sprintf("%02d", i)], amount.Minor)
			}
		}
	})
}

// drawAmount is zero or more; small ones come as often as huge ones.
func drawAmount(t *rapid.T, label string) int64 {
	limit := rapid.SampledFrom([]int64{3, 100, 5000, 1 << 32, math.MaxInt64 - 1}).Draw(t, label+" limit")
	return rapid.Int64Range(0, limit).Draw(t, label)
}

func drawWeights(t *rapid.T, n int) []uint32 {
	weights := make([]uint32, n)
	left := uint32(whole)
	for i := range n - 1 {
		weights[i] = rapid.Uint32Range(0, left).Draw(t, "ppm")
		left -= weights[i]
	}
	weights[n-1] = left
	return weights
}

func drawPolicy(t *rapid.T, currency string) Policy {
	policy := Policy{Name: "drawn"}
	if rapid.Bool().Draw(t, "one tier") {
		policy.Shares = drawShares(t, currency)
	} else {
		policy.Basis = rapid.SampledFrom([]Basis{ByPrice, ByVolume}).Draw(t, "basis")
		from := int64(0)
		for i := range rapid.IntRange(1, 4).Draw(t, "tiers") {
			tier := Tier{Shares: drawShares(t, currency)}
			if i > 0 {
				from += 1 + rapid.Int64Range(0, 1<<40).Draw(t, "from")
				tier.From = in(currency, from)
			}
			policy.Tiers = append(policy.Tiers, tier)
		}
	}
	if len(policy.Shares) > 0 && rapid.Bool().Draw(t, "named remainder") {
		for _, share := range policy.Shares {
			if share.PPM > 0 {
				policy.Remainder = &share.Payee
			}
		}
	}
	return policy
}

func drawShares(t *rapid.T, currency string) []Share {
	payees := []Payee{creator, platform, tax, {Kind: Affiliate}, account("a"), account("b"), account("c")}
	payees = rapid.Permutation(payees).Draw(t, "payees")[:rapid.IntRange(1, len(payees)).Draw(t, "count")]
	weights := drawWeights(t, len(payees))
	taker := -1 // somebody without a maximum
	for i, weight := range weights {
		if weight > 0 {
			taker = i
		}
	}
	shares := make([]Share, len(payees))
	for i := range shares {
		share := Share{Payee: payees[i], PPM: weights[i]}
		if rapid.Bool().Draw(t, "fee") {
			share.Fixed = in(currency, drawAmount(t, "fixed"))
		}
		if rapid.Bool().Draw(t, "floor") {
			share.Minimum = in(currency, drawAmount(t, "minimum"))
		}
		if i != taker && rapid.Bool().Draw(t, "cap") {
			fixed, _ := share.Fixed.of(currency)
			least, _ := share.Minimum.of(currency)
			share.Maximum = in(currency, max(fixed, least, drawAmount(t, "maximum")))
		}
		shares[i] = share
	}
	return shares
}

func shuffle(t *rapid.T, policy *Policy) {
	seed := rapid.Uint64().Draw(t, "shuffle")
	order := rand.New(rand.NewPCG(seed, 1))
	all := [][]Share{policy.Shares}
	for _, tier := range policy.Tiers {
		all = append(all, tier.Shares)
	}
	for _, shares := range all {
		order.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	}
}
