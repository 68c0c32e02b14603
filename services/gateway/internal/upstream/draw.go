package upstream

// draw draws indices in proportion to weights with one look: an alias table
// (Walker 1977, Vose 1991).
type draw struct{ cells []drawCell }

// drawCell stands for itself up to a bound, and for another above it.
type drawCell struct{ bound, other uint32 }

func newDraw(members []member) *draw {
	n := len(members)
	total := uint64(0)
	for _, m := range members {
		total += uint64(m.weight)
	}
	cells := make([]drawCell, n)
	share := make([]float64, n) // of the mean
	var low, high []int
	for i, m := range members {
		share[i] = float64(m.weight) * float64(n) / float64(total)
		if share[i] < 1 {
			low = append(low, i)
		} else {
			high = append(high, i)
		}
	}
	for len(low) > 0 && len(high) > 0 {
		l, h := low[len(low)-1], high[len(high)-1]
		low = low[:len(low)-1]
		cells[l] = drawCell{bound: uint32(share[l] * (1 << 32)), other: uint32(h)}
		if share[h] -= 1 - share[l]; share[h] < 1 {
			high = high[:len(high)-1]
			low = append(low, h)
		}
	}
	for _, i := range append(low, high...) { // 1, but for rounding
		cells[i] = drawCell{bound: 1<<32 - 1, other: uint32(i)}
	}
	return &draw{cells}
}

// index uses the upper half of a random number for the cell and the lower for
// the bound.
func (d *draw) index(random uint64) int {
	i := scale(uint32(random>>32), len(d.cells))
	if cell := d.cells[i]; uint32(random) >= cell.bound {
		return int(cell.other)
	}
	return i
}
