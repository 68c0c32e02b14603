package ledger

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/money"
)

// ErrPolicy means a split policy that cannot be used.
var ErrPolicy = errors.New("invalid split policy")

// SplitPolicy says who gets what of a sale.
type SplitPolicy struct {
	Name    string
	Release string // which version of it; empty where unknown
	Shares  []Share
}

// Share is one payee's part. Several shares may have the same purpose.
type Share struct {
	Purpose Purpose // Earnings (the creator), Platform or Tax
	PPM     uint32  // parts per million of the price
}

// Version names the policy as transfers keep it.
func (p SplitPolicy) Version() string {
	if p.Release == "" {
		return p.Name
	}
	return p.Name + "@" + p.Release
}

// Part is what one purpose gets of a sale; above zero.
type Part struct {
	Purpose Purpose
	Amount  money.Amount
}

// Split divides a price, which must be above zero. The parts sum to it
// exactly. Purposes appear once, in the order of their first share; those
// that get nothing are left out.
func (p SplitPolicy) Split(price money.Amount) ([]Part, error) {
	if price.Sign() <= 0 {
		return nil, fmt.Errorf("%w: price %d is not above zero", ErrTransfer, price.Minor)
	}
	if err := price.Validate(); err != nil {
		return nil, err
	}
	weights := make([]uint32, len(p.Shares))
	for i, share := range p.Shares {
		if share.Purpose != Earnings && share.Purpose != Platform && share.Purpose != Tax {
			return nil, fmt.Errorf("%w: %s: shares[%d]: payee %q", ErrPolicy, p.Name, i, share.Purpose)
		}
		weights[i] = share.PPM
	}
	amounts, err := money.Split(price, weights)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrPolicy, p.Name, err)
	}
	return p.gather(amounts)
}

// gather sums the amounts of shares with the same purpose.
func (p SplitPolicy) gather(amounts []money.Amount) ([]Part, error) {
	var parts []Part
	place := make(map[Purpose]int, len(p.Shares))
	for i, share := range p.Shares {
		if amounts[i].IsZero() {
			continue
		}
		at, found := place[share.Purpose]
		if !found {
			place[share.Purpose] = len(parts)
			parts = append(parts, Part{Purpose: share.Purpose, Amount: amounts[i]})
			continue
		}
		sum, err := parts[at].Amount.Add(amounts[i])
		if err != nil {
			return nil, err
		}
		parts[at].Amount = sum
	}
	return parts, nil
}
