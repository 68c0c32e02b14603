package pattern

import "math/bits"

// Limits of an alphabet.
const (
	maxSets      = 16
	maxClasses   = 32 // that are not single characters
	maxIntervals = 32 // above ASCII
)

// alphabet gathers which positions accept which characters. Characters that
// the same positions accept make a class.
type alphabet struct {
	class   [128]uint8 // of the characters so far; 0 is no class yet
	singles set        // the characters that have a class
	masks   [1 + maxPositions + maxClasses]uint64
	classes int // but class 0

	sets  [maxSets]set
	users [maxSets]uint64 // positions that accept sets
	known int

	runes     [1 + maxIntervals]interval // disjoint, from 1
	intervals int
	other     uint64 // positions that accept characters above ASCII in no interval

	parts [maxClasses]division // of divide
}

// division is characters that the same sets have.
type division struct {
	low, high, positions uint64
}

// interval is characters above ASCII that the same positions accept.
type interval struct {
	from, to  rune
	positions uint64
}

// begin makes the alphabet empty.
func (a *alphabet) begin() {
	a.class, a.singles, a.classes = [128]uint8{}, set{}, 0
	a.known, a.intervals, a.other = 0, 0, 0
}

// above numbers an interval from 1, and tells whether there is room for it
// and it does not overlap another.
func (a *alphabet) above(from, to rune) (number int, ok bool) {
	for i, other := range a.runes[1 : 1+a.intervals] {
		if other.from == from && other.to == to {
			return 1 + i, true
		}
		if from <= other.to && other.from <= to {
			return 0, false
		}
	}
	if a.intervals == maxIntervals {
		return 0, false
	}
	a.intervals++
	a.runes[a.intervals] = interval{from, to, 0}
	return a.intervals, true
}

// acceptOne lets a position accept one character.
func (a *alphabet) acceptOne(c byte, bit uint64) {
	c &= 127
	class := a.class[c]
	if class == 0 {
		a.classes++
		class = uint8(a.classes)
		a.class[c] = class
		if c < 64 {
			a.singles.low |= 1 << c
		} else {
			a.singles.high |= 1 << (c - 64)
		}
		a.masks[class] = 0
	}
	a.masks[class] |= bit
}

// accept lets a position accept a set, and tells whether there is room for it.
func (a *alphabet) accept(s set, bit uint64) bool {
	for i := range a.known {
		if a.sets[i] == s {
			a.users[i] |= bit
			return true
		}
	}
	if a.known == maxSets {
		return false
	}
	a.sets[a.known], a.users[a.known] = s, bit
	a.known++
	return true
}

// divide makes the classes of sets, and tells whether they are few enough. The
// largest becomes class 0.
func (a *alphabet) divide() bool {
	for i := range a.sets[:a.known] {
		s := &a.sets[i]
		for both := (set{low: s.low & a.singles.low, high: s.high & a.singles.high}); both.low|both.high != 0; {
			a.masks[a.class[both.take()]] |= a.users[i]
		}
		if s.above&1 != 0 {
			a.other |= a.users[i]
		}
		for j := 1; j <= a.intervals; j++ {
			if s.above>>j&1 != 0 {
				a.runes[j].positions |= a.users[i]
			}
		}
	}
	parts := &a.parts
	parts[0] = division{^a.singles.low, ^a.singles.high, 0}
	n := 1
	for i := range a.sets[:a.known] {
		s := &a.sets[i]
		for j := range n {
			in := division{parts[j].low & s.low, parts[j].high & s.high, parts[j].positions | a.users[i]}
			out := division{parts[j].low &^ s.low, parts[j].high &^ s.high, parts[j].positions}
			switch {
			case in.low|in.high == 0:
				continue
			case out.low|out.high == 0:
				parts[j] = in
			case n == maxClasses:
				return false
			default:
				parts[j], parts[n] = in, out
				n++
			}
		}
	}
	largest, most := 0, -1
	for j, part := range parts[:n] {
		if count := bits.OnesCount64(part.low) + bits.OnesCount64(part.high); count > most {
			largest, most = j, count
		}
	}
	for j, part := range parts[:n] {
		if j == largest {
			a.masks[0] = part.positions
			continue
		}
		a.classes++
		a.masks[a.classes] = part.positions
		for rest := (set{low: part.low, high: part.high}); rest.low|rest.high != 0; {
			a.class[rest.take()] = uint8(a.classes)
		}
	}
	return true
}

// take removes the lowest character and returns it.
func (s *set) take() byte {
	if s.low != 0 {
		c := bits.TrailingZeros64(s.low)
		s.low &= s.low - 1
		return byte(c)
	}
	c := bits.TrailingZeros64(s.high)
	s.high &= s.high - 1
	return byte(64+c) & 127
}
