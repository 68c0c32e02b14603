package reconcile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseAmount reads a decimal amount as minor units of a currency with so many
// digits after the point. Fewer digits are fine, more only as zeros.
func parseAmount(text string, digits int) (int64, error) {
	sign, number := "", text
	if number != "" && (number[0] == '-' || number[0] == '+') {
		sign, number = strings.TrimPrefix(number[:1], "+"), number[1:]
	}
	units, fraction, pointed := strings.Cut(number, ".")
	if !isDigits(units) || pointed && !isDigits(fraction) {
		return 0, fmt.Errorf("%q is not an amount such as 4.99 (no separators of thousands, no currency sign)", clip(text))
	}
	if len(fraction) > digits {
		if strings.Trim(fraction[digits:], "0") != "" {
			return 0, fmt.Errorf("%q has more than %d digits after the point", clip(text), digits)
		}
		fraction = fraction[:digits]
	}
	minor, err := strconv.ParseInt(sign+units+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%q is out of range", clip(text))
	}
	return minor, err
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// clip keeps a text that somebody else chose short.
func clip(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
