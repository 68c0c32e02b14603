// Package rate converts amounts of money between currencies by a table of
// exchange rates: rate.go converts, read.go reads tables as text.
//
// A Table is immutable; a Ref swaps it while programs use it. Both are safe
// for concurrent use. Nothing here knows where rates come from.
package rate

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/backlot-video/backlot/kit/money"
)

// ErrTable is wrapped by the errors for tables that cannot be used.
var ErrTable = errors.New("rate: bad table")

// Rates have up to decimals digits after the point and are at most maxRate, so
// that conversion never leaves 128 bits.
const (
	decimals = 9
	maxRate  = 1_000_000
)

// Table says what one unit of each currency is worth in the base currency.
type Table struct {
	version string
	base    string
	worths  map[string]string   // as given
	numbers [26 * 26 * 26]uint8 // of currencies from 1, by the letters of their codes
	count   int
	ratios  []ratio // of minor units, count*count, row-major: from, to
}

// ratio is num/den, both at most 10^19.
type ratio struct{ num, den uint64 }

// New makes a table. rates maps currencies to decimals, as in "0.1402": how
// much of the base currency one unit is. version is told by Version.
func New(version, base string, rates map[string]string) (*Table, error) {
	worths := map[string]uint64{} // in units of 10^-9 of the base
	if _, known := money.Exponent(base); !known {
		return nil, fmt.Errorf("%w: base %q is not in ISO 4217", ErrTable, base)
	}
	for _, currency := range slices.Sorted(maps.Keys(rates)) {
		if _, known := money.Exponent(currency); !known {
			return nil, fmt.Errorf("%w: currency %q is not in ISO 4217", ErrTable, currency)
		}
		worth, ok := parse(rates[currency])
		if !ok {
			return nil, fmt.Errorf("%w: rate %q of %s: want a decimal above 0, at most %d, with up to %d digits after the point",
				ErrTable, rates[currency], currency, maxRate, decimals)
		}
		worths[currency] = worth
	}
	if own, given := worths[base]; given && own != 1e9 {
		return nil, fmt.Errorf("%w: rate %q of %s: the base is worth 1", ErrTable, rates[base], base)
	}
	worths[base] = 1e9
	t := &Table{version: version, base: base, worths: maps.Clone(rates), count: len(worths)}
	currencies := slices.Sorted(maps.Keys(worths)) // fewer than 256: all are in ISO 4217
	for i, from := range currencies {
		t.numbers[index(from)] = uint8(i + 1)
		for _, to := range currencies {
			t.ratios = append(t.ratios, ratioOf(worths, from, to))
		}
	}
	return t, nil
}

// index is the place of a currency in numbers, or -1.
func index(currency string) int {
	if len(currency) != 3 {
		return -1
	}
	at := 0
	for i := range 3 {
		letter := currency[i] - 'A'
		if letter >= 26 {
			return -1
		}
		at = at*26 + int(letter)
	}
	return at
}

// ratioOf is that of minor units: differences of exponents are at most 4.
func ratioOf(worths map[string]uint64, from, to string) ratio {
	r := ratio{worths[from], worths[to]}
	fromDigits, _ := money.Exponent(from)
	toDigits, _ := money.Exponent(to)
	for ; fromDigits < toDigits; fromDigits++ {
		r.num *= 10
	}
	for ; toDigits < fromDigits; toDigits++ {
		r.den *= 10
	}
	return r
}

// parse reads a decimal as a multiple of 10^-9.
func parse(s string) (uint64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) == 0 || len(whole) > 7 || len(fraction) > decimals || strings.HasSuffix(s, ".") {
		return 0, false
	}
	value := uint64(0)
	for _, digit := range whole + fraction + strings.Repeat("0", decimals-len(fraction)) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		value = value*10 + uint64(digit-'0')
	}
	return value, value > 0 && value <= maxRate*1e9
}

// Version is the version given to New.
func (t *Table) Version() string { return t.version }

// Base is the currency in which worths are told.
func (t *Table) Base() string { return t.base }

// All yields the currencies and what one unit of each is worth, as given.
func (t *Table) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, currency := range slices.Sorted(maps.Keys(t.worths)) {
			if !yield(currency, t.worths[currency]) {
				return
			}
		}
	}
}

// Len is the number of currencies, the base among them.
func (t *Table) Len() int { return t.count }

// find returns what a pair of currencies has.
func (t *Table) find(from, to string) (r ratio, ok bool) {
	row, column := index(from), index(to)
	if t == nil || row < 0 || column < 0 || t.numbers[row] == 0 || t.numbers[column] == 0 {
		return r, false
	}
	return t.ratios[(int(t.numbers[row])-1)*t.count+int(t.numbers[column])-1], true
}

// Result tells how a conversion went.
type Result uint8

// The results.
const (
	OK       Result = iota
	NoRate          // of one of the currencies
	Overflow        // beyond int64 minor units
)

// Convert converts minor units, rounding half to even. A currency converts to
// itself without a rate; a nil table has no rates.
func (t *Table) Convert(minor int64, from, to string) (int64, Result) {
	if from == to {
		return minor, OK
	}
	r, ok := t.find(from, to)
	if !ok {
		return 0, NoRate
	}
	amount, negative := uint64(minor), minor < 0
	if negative {
		amount = -amount
	}
	hi, lo := bits.Mul64(amount, r.num)
	if hi >= r.den {
		return 0, Overflow
	}
	quotient, rest := bits.Div64(hi, lo, r.den)
	if above := r.den - rest; rest > above || rest == above && quotient&1 == 1 {
		if quotient++; quotient == 0 {
			return 0, Overflow
		}
	}
	switch {
	case negative && quotient <= 1<<63:
		return int64(-quotient), OK
	case !negative && quotient <= math.MaxInt64:
		return int64(quotient), OK
	}
	return 0, Overflow
}

// Ref holds the table in force. Its zero value holds none.
type Ref struct{ current atomic.Pointer[Table] }

// Get returns the table as it is now, nil where there is none. A nil Ref has
// none.
func (r *Ref) Get() *Table {
	if r == nil {
		return nil
	}
	return r.current.Load()
}

// Set puts a table in force; nil takes it away.
func (r *Ref) Set(t *Table) { r.current.Store(t) }
