package money

import (
	"errors"
	"fmt"
	"math/bits"
	"sort"
)

// ErrShares means that weights do not sum to 1,000,000.
var ErrShares = errors.New("shares do not sum to 1,000,000 parts per million")

const whole = 1_000_000

// Split divides total among shares by largest remainder; of equal remainders
// the lower index wins. The parts always sum to total, each is within one
// minor unit of its exact share, and the parts of -total are those of total
// negated. Weights are parts per million and must sum to 1,000,000, else it
// returns ErrShares.
func Split(total Amount, weightsPPM []uint32) ([]Amount, error) {
	sum := uint64(0)
	for _, weight := range weightsPPM {
		sum += uint64(weight)
	}
	if sum != whole {
		return nil, fmt.Errorf("%w: they sum to %d", ErrShares, sum)
	}
	magnitude := uint64(total.Minor)
	if total.Minor < 0 {
		magnitude = -magnitude
	}
	parts := make([]uint64, len(weightsPPM))
	remainders := make([]uint64, len(weightsPPM))
	byRemainder := make([]int, len(weightsPPM))
	left := magnitude
	for i, weight := range weightsPPM {
		high, low := bits.Mul64(magnitude, uint64(weight))
		parts[i], remainders[i] = bits.Div64(high, low, whole)
		byRemainder[i] = i
		left -= parts[i]
	}
	sort.SliceStable(byRemainder, func(i, j int) bool {
		return remainders[byRemainder[i]] > remainders[byRemainder[j]]
	})
	for _, i := range byRemainder[:left] {
		parts[i]++
	}
	amounts := make([]Amount, len(parts))
	for i, part := range parts {
		if total.Minor < 0 {
			part = -part
		}
		amounts[i] = Amount{int64(part), total.Currency}
	}
	return amounts, nil
}
