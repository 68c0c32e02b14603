package money

import (
	"errors"
	"fmt"
)

// ErrShares means weights that nothing can be divided by.
var ErrShares = errors.New("shares do not sum up")

const whole = 1_000_000

// Split is Apportion by weights in parts per million. They must sum to
// 1,000,000, else it returns ErrShares.
func Split(total Amount, weightsPPM []uint32) ([]Amount, error) {
	sum := uint64(0)
	weights := make([]uint64, len(weightsPPM))
	for i, weight := range weightsPPM {
		weights[i] = uint64(weight)
		sum += weights[i]
	}
	if sum != whole {
		return nil, fmt.Errorf("%w: they sum to %d, want 1,000,000 parts per million", ErrShares, sum)
	}
	return apportion(total, weights, whole), nil
}
