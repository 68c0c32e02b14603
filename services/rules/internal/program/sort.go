package program

import (
	"math/bits"
	"slices"
)

// sorter sorts whole numbers byte by byte, from the lowest on: of thousands that
// is quicker than to compare them.
type sorter struct{ numbers, spare []int64 }

// fewNumbers are up to how many are compared.
const fewNumbers = 128

// empty returns a slice with room for n numbers. It is valid until the next one.
func (s *sorter) empty(n int) []int64 {
	s.numbers, s.spare = slices.Grow(s.numbers[:0], n), slices.Grow(s.spare[:0], n)
	return s.numbers
}

// sort sorts what was put into the slice that empty returned last, and returns
// it or another one in its place.
func (s *sorter) sort(numbers []int64) []int64 {
	if len(numbers) <= fewNumbers {
		slices.Sort(numbers)
		return numbers
	}
	differ := uint64(0)
	for _, v := range numbers {
		differ |= uint64(v ^ numbers[0])
	}
	to := s.spare[:len(numbers)]
	for shift := bits.TrailingZeros64(differ) &^ 7; shift < bits.Len64(differ); shift += 8 {
		if differ>>shift&0xFF != 0 {
			byByte(to, numbers, shift)
			numbers, to = to, numbers
		}
	}
	return numbers
}

// byByte puts numbers in the order of one of their bytes. Those that have the
// same stay as they are.
func byByte(to, numbers []int64, shift int) {
	var places [256]int32
	for _, v := range numbers {
		places[uint64(v^minInt)>>(shift&63)&0xFF]++
	}
	next := int32(0)
	for i, count := range places {
		places[i] = next
		next += count
	}
	for _, v := range numbers {
		place := &places[uint64(v^minInt)>>(shift&63)&0xFF]
		to[*place] = v
		*place++
	}
}
