package money

import (
	"fmt"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
)

// FromProto returns the amount of a message, or ErrCurrency where it is nil or
// its currency is not one of ISO 4217.
func FromProto(message *moneyv1.Money) (Amount, error) {
	if message == nil {
		return Amount{}, fmt.Errorf("%w: no amount", ErrCurrency)
	}
	amount := Amount{message.GetMinor(), message.GetCurrency()}
	if err := amount.Validate(); err != nil {
		return Amount{}, err
	}
	return amount, nil
}

// ToProto returns a message of its own for a.
func (a Amount) ToProto() *moneyv1.Money {
	return &moneyv1.Money{Minor: a.Minor, Currency: a.Currency}
}
