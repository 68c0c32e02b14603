package split

import (
	"errors"
	"math/bits"

	"github.com/backlot-video/backlot/kit/money"
)

// settle divides left among lines by weight within their bounds, whose least
// amounts sum to left at most. It divides among those that are not set, looks
// who would be out of bounds, and sets either those below their minimum or
// those above their maximum, whichever lack or exceed more in all; then it
// divides what remains anew. So the sum of minimums never exceeds what is left,
// nor falls the sum of maximums below it, and each round sets a line at least.
func settle(lines []line, left uint64) error {
	for {
		open := unset(lines)
		if len(open) == 0 {
			if left != 0 {
				return errors.New("split: maximums leave a rest") // Validate has refused it
			}
			return nil
		}
		if err := share(open, left); err != nil {
			return err
		}
		var lack, excess wide
		for _, l := range open {
			switch {
			case l.part < l.least:
				lack.add(l.least - l.part)
			case l.part > l.most:
				excess.add(l.part - l.most)
			}
		}
		for _, l := range open {
			low, high := l.part < l.least, l.part > l.most
			switch {
			case low && !lack.less(excess):
				l.part = l.least
			case high && !excess.less(lack):
				l.part = l.most
			case lack == excess: // in all they even out, and the others stay
			default:
				continue
			}
			l.set = true
			left -= l.part
		}
	}
}

func unset(lines []line) (open []*line) {
	for i := range lines {
		if !lines[i].set {
			open = append(open, &lines[i])
		}
	}
	return open
}

// share divides left among lines by weight, to the minor unit.
func share(open []*line, left uint64) error {
	sum, named := uint64(0), (*line)(nil)
	weights := make([]uint64, len(open))
	for i, l := range open {
		weights[i] = l.weight
		sum += l.weight
		if l.remainder {
			named = l
		}
	}
	if sum == 0 { // only fixed fees and minimums are left
		for _, l := range open {
			l.part = l.least
		}
		return nil
	}
	parts, err := money.Apportion(money.Amount{Minor: int64(left)}, weights)
	if err != nil {
		return err
	}
	rest := left
	for i, l := range open {
		l.part = uint64(parts[i].Minor)
		if named != nil {
			l.part = quotient(left, l.weight, sum)
		}
		rest -= l.part
	}
	if named != nil {
		named.part += rest
	}
	return nil
}

// quotient is left*weight/sum, rounded down; weight is at most sum.
func quotient(left, weight, sum uint64) uint64 {
	high, low := bits.Mul64(left, weight)
	q, _ := bits.Div64(high, low, sum)
	return q
}

// wide is a sum of up to MaxShares numbers of 64 bits.
type wide struct{ high, low uint64 }

func (w *wide) add(n uint64) {
	low, carry := bits.Add64(w.low, n, 0)
	w.low, w.high = low, w.high+carry
}

func (w wide) less(other wide) bool {
	return w.high < other.high || w.high == other.high && w.low < other.low
}
