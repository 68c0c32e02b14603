package payout

import (
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/money"
)

// MaxPayouts bounds a batch.
const MaxPayouts = 10_000

// ErrTooMany means that more than MaxPayouts persons are due.
var ErrTooMany = errors.New("too many payouts for one batch: raise the minimum, or name owners")

// Due is what a person has earned and may be paid.
type Due struct {
	OwnerID  string
	Earnings money.Amount // that may leave the account
	Owed     money.Amount // by the person to the house, after refunds
}

// Plan tells who gets how much: what has been earned less what is owed to the
// house, of everybody with the minimum at least. Nobody gets less than a minor
// unit. It returns ErrTooMany, money.ErrCurrency or money.ErrOverflow.
func Plan(minimum money.Amount, due []Due) ([]Payout, error) {
	if minimum.Sign() <= 0 {
		return nil, fmt.Errorf("%w: minimum: %d is not above zero", ErrMinimum, minimum.Minor)
	}
	var payouts []Payout
	for _, d := range due {
		amount, err := d.Earnings.Sub(d.Owed)
		if err != nil {
			return nil, err
		}
		compared, err := amount.Cmp(minimum)
		if err != nil {
			return nil, err
		}
		if compared < 0 {
			continue
		}
		payouts = append(payouts, Payout{OwnerID: d.OwnerID, Amount: amount, State: Planned})
		if len(payouts) > MaxPayouts {
			return nil, ErrTooMany
		}
	}
	return payouts, nil
}

// ErrMinimum means a minimum that is not above zero.
var ErrMinimum = errors.New("invalid minimum")
