package money

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrSyntax means a text that is no amount.
var ErrSyntax = errors.New("not an amount such as 4.99 USD")

// String is Format.
func (a Amount) String() string { return a.Format() }

// Format writes an amount as "4.99 USD" or "-500 JPY". An unknown currency is
// written in minor units, as "499 minor units of \"XXX\"".
func (a Amount) Format() string {
	digits, known := Exponent(a.Currency)
	if !known {
		return fmt.Sprintf("%d minor units of %q", a.Minor, a.Currency)
	}
	sign, number := "", strconv.FormatInt(a.Minor, 10)
	if a.Minor < 0 {
		sign, number = "-", number[1:]
	}
	if digits > 0 {
		if missing := digits + 1 - len(number); missing > 0 {
			number = strings.Repeat("0", missing) + number
		}
		point := len(number) - digits
		number = number[:point] + "." + number[point:]
	}
	return sign + number + " " + a.Currency
}

// Parse reads what Format writes. The fraction may be left out as a whole
// ("5 USD"), but is otherwise of the currency's exact length. It returns
// ErrSyntax, ErrCurrency or ErrOverflow.
func Parse(text string) (Amount, error) {
	number, currency, found := strings.Cut(text, " ")
	if !found {
		return Amount{}, fmt.Errorf("%w: %q", ErrSyntax, text)
	}
	digits, known := Exponent(currency)
	if !known {
		return Amount{}, fmt.Errorf("%w: %q is not in ISO 4217", ErrCurrency, currency)
	}
	sign, unsigned := "", number
	if strings.HasPrefix(number, "-") {
		sign, unsigned = "-", number[1:]
	}
	units, fraction, pointed := strings.Cut(unsigned, ".")
	if !pointed {
		fraction = strings.Repeat("0", digits)
	}
	if !isDigits(units) || len(fraction) != digits || (pointed && !isDigits(fraction)) {
		return Amount{}, fmt.Errorf("%w: %q", ErrSyntax, text)
	}
	minor, err := strconv.ParseInt(sign+units+fraction, 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %q", ErrOverflow, text)
	}
	return Amount{minor, currency}, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
