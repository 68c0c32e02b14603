// Package split says who gets what of a sale.
//
//	policy.go    Policy: shares, tiers and their validation
//	divide.go    Policy.Split: the parts of one price
//	bounds.go    minimums and maximums
//
// A share is a percentage (parts per million), a fixed fee, or both, within a
// minimum and a maximum. Parts are computed in this order:
//
//  1. the tier of the price, or of what the creator has earned before, gives
//     the shares;
//  2. fixed fees are taken from the price;
//  3. what is left is divided by the percentages, by largest remainder unless
//     a payee is named for the remainder;
//  4. a payee below its minimum or above its maximum gets that, and what is
//     left is divided among the others anew.
//
// The parts sum to the price exactly, whatever the policy, and do not depend
// on the order of its shares. All arithmetic is on int64 minor units. The
// package knows no accounts and no ledger.
package split

import (
	"errors"
	"fmt"
	"math"

	"github.com/backlot-video/backlot/kit/money"
)

var (
	// ErrPolicy means a policy that cannot be used. A *FieldError says where.
	ErrPolicy = errors.New("invalid split policy")
	// ErrPrice means a price that a policy cannot split: it is below the fixed
	// fees and minimums, or in a currency that the policy has no amounts for.
	ErrPrice = errors.New("price cannot be split")
)

// The limits of a policy.
const (
	MaxShares = 16
	MaxTiers  = 16
	whole     = 1_000_000 // parts per million
)

// FieldError is a fault of a policy. It wraps ErrPolicy or ErrPrice.
type FieldError struct {
	Field   string // as in `tiers[1].shares[0].maximum`
	Problem string
	kind    error
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Unwrap gives ErrPolicy or ErrPrice.
func (e *FieldError) Unwrap() error { return e.kind }

func faultAt(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...), kind: ErrPolicy}
}

func priceAt(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...), kind: ErrPrice}
}

// Kind is who a payee is to a sale. The numbers order payees.
type Kind int

// The kinds.
const (
	Creator   Kind = 1 // who made what is sold
	Platform  Kind = 2
	Tax       Kind = 3
	Affiliate Kind = 4 // who brought the buyer; without one its part is the platform's
	Account   Kind = 5 // a person by account id, such as a second creator
)

// Payee gets a part of a sale.
type Payee struct {
	Kind      Kind
	AccountID string // of Account alone
}

func (p Payee) less(q Payee) bool {
	return p.Kind < q.Kind || p.Kind == q.Kind && p.AccountID < q.AccountID
}

func (p Payee) validate(field string) error {
	switch {
	case p.Kind < Creator || p.Kind > Account:
		return faultAt(field+".payee", "is missing or not known")
	case p.Kind == Account && p.AccountID == "":
		return faultAt(field+".account", "is missing")
	case p.Kind != Account && p.AccountID != "":
		return faultAt(field+".account", "only a payee that is an account has one")
	}
	return nil
}

// Amounts are one amount for each of some currencies. None means that there is
// no such amount, whatever the currency.
type Amounts []money.Amount

// of is the amount in a currency; found is false where it has none.
func (a Amounts) of(currency string) (minor int64, found bool) {
	for _, amount := range a {
		if amount.Currency == currency {
			return amount.Minor, true
		}
	}
	return 0, false
}

func (a Amounts) validate(field string) error {
	seen := make(map[string]bool, len(a))
	for i, amount := range a {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := amount.Validate(); err != nil {
			return faultAt(at+".currency", "%v", err)
		}
		if amount.Minor < 0 {
			return faultAt(at+".minor", "%d is below zero", amount.Minor)
		}
		if seen[amount.Currency] {
			return faultAt(at+".currency", "%s appears twice", amount.Currency)
		}
		seen[amount.Currency] = true
	}
	return nil
}

// Share is one payee's part.
type Share struct {
	Payee   Payee
	PPM     uint32  // parts per million of what fixed fees leave
	Fixed   Amounts // taken first
	Minimum Amounts // of the whole part, the fixed fee included
	Maximum Amounts
}

// Basis is what chooses a tier.
type Basis int

// The bases.
const (
	ByPrice  Basis = 1 // the price of the sale
	ByVolume Basis = 2 // what the creator has earned before, refunds not deducted
)

// Tier is a set of shares from an amount on, that amount included.
type Tier struct {
	From   Amounts // of the first tier none: it begins at zero
	Shares []Share
}

// Policy says who gets what of a price. It has either Shares or Tiers.
type Policy struct {
	Name    string
	Release string // which version of it; empty where unknown
	Shares  []Share
	Basis   Basis
	Tiers   []Tier
	// Remainder gets the minor units that percentages leave over. Where it is
	// nil, or at its maximum, they go by largest remainder.
	Remainder *Payee
}

// Version names the policy as transfers keep it.
func (p Policy) Version() string {
	if p.Release == "" {
		return p.Name
	}
	return p.Name + "@" + p.Release
}

// Validate returns all faults, joined; each is a *FieldError that wraps
// ErrPolicy.
func (p Policy) Validate() error {
	var faults []error
	switch {
	case len(p.Tiers) == 0:
		faults = append(faults, p.validateShares("shares", p.Shares))
	case len(p.Shares) > 0:
		faults = append(faults, faultAt("shares", "must be empty where there are tiers"))
	case p.Basis != ByPrice && p.Basis != ByVolume:
		faults = append(faults, faultAt("tier_basis", "is missing or not known"))
	}
	faults = append(faults, p.validateTiers()...)
	if p.Remainder != nil {
		faults = append(faults, p.Remainder.validate("remainder"))
	}
	return errors.Join(faults...)
}

func (p Policy) validateTiers() (faults []error) {
	if len(p.Tiers) > MaxTiers {
		return []error{faultAt("tiers", "there are %d, at most %d", len(p.Tiers), MaxTiers)}
	}
	for i, tier := range p.Tiers {
		field := fmt.Sprintf("tiers[%d]", i)
		faults = append(faults, tier.From.validate(field+".from"), p.validateShares(field+".shares", tier.Shares))
		if i == 0 {
			if len(tier.From) > 0 {
				faults = append(faults, faultAt(field+".from", "the first tier begins at zero and has none"))
			}
			continue
		}
		if len(tier.From) == 0 {
			faults = append(faults, faultAt(field+".from", "is missing"))
		}
		for j, from := range tier.From {
			at := fmt.Sprintf("%s.from[%d]", field, j)
			before, found := p.Tiers[i-1].From.of(from.Currency)
			switch {
			case i > 1 && !found:
				faults = append(faults, faultAt(at, "the tier before has no amount in %s", from.Currency))
			case from.Minor <= before:
				faults = append(faults, faultAt(at, "%s is not above the tier before", from))
			}
		}
		if i > 1 && len(tier.From) < len(p.Tiers[i-1].From) {
			faults = append(faults, faultAt(field+".from", "lacks a currency of the tier before"))
		}
	}
	return faults
}

func (p Policy) validateShares(field string, shares []Share) error {
	if len(shares) == 0 || len(shares) > MaxShares {
		return faultAt(field, "there are %d, want 1 to %d", len(shares), MaxShares)
	}
	var faults []error
	sum := uint64(0)
	seen := make(map[Payee]bool, len(shares))
	limited, remainder := true, p.Remainder == nil
	for i, share := range shares {
		at := fmt.Sprintf("%s[%d]", field, i)
		faults = append(faults, share.validate(at))
		if seen[share.Payee] {
			faults = append(faults, faultAt(at+".payee", "has a share already"))
		}
		seen[share.Payee] = true
		sum += uint64(share.PPM)
		limited = limited && (share.PPM == 0 || len(share.Maximum) > 0)
		remainder = remainder || *p.Remainder == share.Payee && share.PPM > 0
	}
	if sum != whole {
		faults = append(faults, faultAt(field, "parts per million sum to %d, want %d", sum, whole))
	} else if limited {
		faults = append(faults, faultAt(field, "every percentage has a maximum: nobody could take the rest"))
	}
	if !remainder {
		faults = append(faults, faultAt("remainder", "has no percentage in %s", field))
	}
	return errors.Join(faults...)
}

func (s Share) validate(field string) error {
	faults := []error{
		s.Payee.validate(field), s.Fixed.validate(field + ".fixed"),
		s.Minimum.validate(field + ".minimum"), s.Maximum.validate(field + ".maximum"),
	}
	for i, most := range s.Maximum {
		fixed, _ := s.Fixed.of(most.Currency)
		least, _ := s.Minimum.of(most.Currency)
		if most.Minor < max(fixed, least) {
			faults = append(faults, faultAt(fmt.Sprintf("%s.maximum[%d]", field, i),
				"%s is below the minimum or the fixed fee", most))
		}
	}
	return errors.Join(faults...)
}

// unlimited stands for a part without a maximum.
const unlimited = math.MaxUint64
