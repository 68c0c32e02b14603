package split

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
)

// Sale is what a policy has to know of a sale.
type Sale struct {
	Price     money.Amount // above zero
	Earned    money.Amount // by the creator before this sale, in the price's currency; for tiers by volume
	Affiliate bool         // whether somebody brought the buyer
}

// Part is what a payee gets; above zero.
type Part struct {
	Payee  Payee
	Amount money.Amount
}

// line is a share on its way to a part. Numbers are minor units.
type line struct {
	payee          Payee
	field          string
	weight         uint64 // parts per million
	fixed          uint64
	least, most    uint64 // of what comes on top of fixed
	part           uint64 // on top of fixed, once it is set
	set, remainder bool
}

// Split divides a price, which must be above zero. The parts sum to it
// exactly; payees appear once, in the order of their kinds and ids, and those
// that get nothing are left out. It returns ErrPrice or ErrPolicy as a
// *FieldError, or money.ErrCurrency.
func (p Policy) Split(sale Sale) ([]Part, error) {
	if err := sale.Price.Validate(); err != nil {
		return nil, err
	}
	if sale.Price.Minor <= 0 {
		return nil, priceAt("price", "%d is not above zero", sale.Price.Minor)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	field, shares, err := p.shares(sale)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	lines, err := p.lines(field, shares, sale.Price.Currency)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if err := divide(lines, sale.Price); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return gather(lines, sale), nil
}

// shares are those of the sale's tier, and the field they are in.
func (p Policy) shares(sale Sale) (field string, shares []Share, err error) {
	if len(p.Tiers) == 0 {
		return "shares", p.Shares, nil
	}
	measure := sale.Price
	if p.Basis == ByVolume {
		measure = sale.Earned
		if measure.Currency != sale.Price.Currency {
			return "", nil, fmt.Errorf("%w: earned %s of a price in %s", money.ErrCurrency, measure.Currency, sale.Price.Currency)
		}
	}
	at := 0
	for i := 1; i < len(p.Tiers); i++ {
		from, found := p.Tiers[i].From.of(measure.Currency)
		if !found {
			return "", nil, priceAt(fmt.Sprintf("tiers[%d].from", i), "has no amount in %s", measure.Currency)
		}
		if measure.Minor >= from {
			at = i
		}
	}
	return fmt.Sprintf("tiers[%d].shares", at), p.Tiers[at].Shares, nil
}

// lines are the shares in one currency, in the order of payees.
func (p Policy) lines(field string, shares []Share, currency string) ([]line, error) {
	lines := make([]line, len(shares))
	for i, share := range shares {
		at := fmt.Sprintf("%s[%d]", field, i)
		l := line{payee: share.Payee, field: at, weight: uint64(share.PPM), most: unlimited}
		for _, amounts := range []struct {
			name string
			of   Amounts
			set  func(minor uint64)
		}{
			{"fixed", share.Fixed, func(minor uint64) { l.fixed = minor }},
			{"minimum", share.Minimum, func(minor uint64) { l.least = minor - min(minor, l.fixed) }},
			{"maximum", share.Maximum, func(minor uint64) { l.most = minor - min(minor, l.fixed) }},
		} {
			minor, found := amounts.of.of(currency)
			if len(amounts.of) > 0 && !found {
				return nil, priceAt(at+"."+amounts.name, "has no amount in %s", currency)
			}
			if found {
				amounts.set(uint64(minor))
			}
		}
		if l.weight == 0 {
			l.most = l.least
		}
		l.remainder = p.Remainder != nil && *p.Remainder == l.payee
		lines[i] = l
	}
	slices.SortFunc(lines, func(a, b line) int {
		if a.payee.less(b.payee) {
			return -1
		}
		return 1
	})
	return lines, nil
}

// divide sets the part of every line.
func divide(lines []line, price money.Amount) error {
	left := uint64(price.Minor)
	for i := range lines {
		if lines[i].fixed > left {
			return priceAt(lines[i].field+".fixed", "%s does not cover the fixed fees", price)
		}
		left -= lines[i].fixed
	}
	least := uint64(0)
	for i := range lines {
		var carry uint64
		if least, carry = bits.Add64(least, lines[i].least, 0); carry != 0 || least > left {
			return priceAt(lines[i].field+".minimum", "%s does not cover the minimums and fixed fees", price)
		}
	}
	return settle(lines, left)
}

// gather makes parts of lines. What an affiliate would get is the platform's
// where there is none.
func gather(lines []line, sale Sale) []Part {
	var parts []Part
	for _, l := range lines {
		amount := money.Amount{Minor: int64(l.fixed + l.part), Currency: sale.Price.Currency}
		if amount.IsZero() {
			continue
		}
		payee := l.payee
		if payee.Kind == Affiliate && !sale.Affiliate {
			payee = Payee{Kind: Platform}
		}
		at := slices.IndexFunc(parts, func(p Part) bool { return p.Payee == payee })
		if at >= 0 {
			parts[at].Amount.Minor += amount.Minor // the sum is at most the price
			continue
		}
		parts = append(parts, Part{payee, amount})
	}
	slices.SortFunc(parts, func(a, b Part) int {
		if a.Payee.less(b.Payee) {
			return -1
		}
		return 1
	})
	return parts
}
