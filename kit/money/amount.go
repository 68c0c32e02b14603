// Package money is exact arithmetic on amounts of one currency.
//
//	amount.go    Amount and its checked arithmetic
//	apportion.go exact division by largest remainder
//	split.go     the same among shares in parts per million
//	currency.go  ISO 4217 codes and their minor units
//	text.go      Format and Parse
//	proto.go     Amount as it travels
//
// It knows no exchange rates, no rounding other than Split's and no locale.
// Amounts are plain values; everything here is safe for concurrent use.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

var (
	// ErrOverflow means that a result does not fit into int64 minor units.
	ErrOverflow = errors.New("amount out of range")
	// ErrCurrency means two different currencies, or one that ISO 4217 lacks.
	ErrCurrency = errors.New("wrong currency")
)

// Amount is a number of minor units (cents of USD, whole yen of JPY), negative
// ones included. The zero value has no currency and is not a valid Amount.
type Amount struct {
	Minor    int64
	Currency string // ISO 4217, upper case
}

// Validate returns ErrCurrency unless the currency is one of ISO 4217.
func (a Amount) Validate() error {
	if _, known := Exponent(a.Currency); !known {
		return fmt.Errorf("%w: %q is not in ISO 4217", ErrCurrency, a.Currency)
	}
	return nil
}

// Sign is -1, 0 or 1.
func (a Amount) Sign() int { return cmp.Compare(a.Minor, 0) }

// IsZero reports whether the amount is nothing, in whatever currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// Add returns a+b, ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := a.same(b); err != nil {
		return Amount{}, err
	}
	sum := a.Minor + b.Minor
	if (sum > a.Minor) != (b.Minor > 0) && b.Minor != 0 {
		return Amount{}, fmt.Errorf("%w: %d + %d %s", ErrOverflow, a.Minor, b.Minor, a.Currency)
	}
	return Amount{sum, a.Currency}, nil
}

// Sub returns a-b, ErrCurrency or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := a.same(b); err != nil {
		return Amount{}, err
	}
	rest := a.Minor - b.Minor
	if (rest < a.Minor) != (b.Minor > 0) && b.Minor != 0 {
		return Amount{}, fmt.Errorf("%w: %d - %d %s", ErrOverflow, a.Minor, b.Minor, a.Currency)
	}
	return Amount{rest, a.Currency}, nil
}

// Neg returns -a, or ErrOverflow for the least int64.
func (a Amount) Neg() (Amount, error) {
	if a.Minor == math.MinInt64 {
		return Amount{}, fmt.Errorf("%w: -(%d) %s", ErrOverflow, a.Minor, a.Currency)
	}
	return Amount{-a.Minor, a.Currency}, nil
}

// Cmp is -1, 0 or 1 as a is less than, equal to or more than b, or ErrCurrency.
func (a Amount) Cmp(b Amount) (int, error) {
	if err := a.same(b); err != nil {
		return 0, err
	}
	return cmp.Compare(a.Minor, b.Minor), nil
}

func (a Amount) same(b Amount) error {
	if a.Currency != b.Currency {
		return fmt.Errorf("%w: %q and %q", ErrCurrency, a.Currency, b.Currency)
	}
	return nil
}
