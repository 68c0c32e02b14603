package money

import (
	"fmt"
	"math/bits"
	"slices"
)

// Apportion divides total in proportion to weights by largest remainder; of
// equal remainders the lower index wins. The parts always sum to total, each
// is within one minor unit of its exact share and, unless total is more than
// the sum of weights, no larger than its weight. The parts of -total are those
// of total negated. It returns ErrShares where the weights sum to zero or to
// more than 64 bits hold.
func Apportion(total Amount, weights []uint64) ([]Amount, error) {
	sum := uint64(0)
	for _, weight := range weights {
		var carry uint64
		if sum, carry = bits.Add64(sum, weight, 0); carry != 0 {
			return nil, fmt.Errorf("%w: weights do not fit into 64 bits", ErrShares)
		}
	}
	if sum == 0 {
		return nil, fmt.Errorf("%w: weights sum to 0", ErrShares)
	}
	return apportion(total, weights, sum), nil
}

// apportion divides by weights that sum to sum, above zero.
func apportion(total Amount, weights []uint64, sum uint64) []Amount {
	magnitude := uint64(total.Minor)
	if total.Minor < 0 {
		magnitude = -magnitude
	}
	parts := make([]uint64, len(weights))
	remainders := make([]uint64, len(weights))
	byRemainder := make([]int, len(weights))
	left := magnitude
	for i, weight := range weights {
		high, low := bits.Mul64(magnitude, weight)
		parts[i], remainders[i] = bits.Div64(high, low, sum)
		byRemainder[i] = i
		left -= parts[i]
	}
	slices.SortStableFunc(byRemainder, func(i, j int) int {
		switch {
		case remainders[i] > remainders[j]:
			return -1
		case remainders[i] < remainders[j]:
			return 1
		default:
			return 0
		}
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
	return amounts
}
