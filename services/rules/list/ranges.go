package list

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// ranges are disjoint ranges of addresses, ascending.
type ranges struct {
	four   []range4
	six    []range6
	guide4 guide
	guide6 guide
}

type range4 struct{ low, high uint32 }

type range6 struct{ low, high pair }

// guide tells between which ranges to search for an address, by those of its
// bits that follow what all ranges have in common.
type guide struct {
	first  uint64 // key of the first range
	common uint8
	shift  uint8
	starts []uint32 // of each value of the bits, the number of ranges below; and of all
}

// maxGuide is the most bits that a guide goes by: 1 MiB.
const maxGuide = 18

// newGuide makes a guide over n keys, ascending.
func newGuide(n int, key func(int) uint64) guide {
	if n == 0 {
		return guide{}
	}
	g := guide{first: key(0)}
	g.common = uint8(bits.LeadingZeros64(g.first ^ key(n-1)))
	wide := min(bits.Len(uint(n)), maxGuide)
	g.shift = uint8(64 - wide)
	g.starts = make([]uint32, 1<<wide+1)
	at := 0
	for value := range 1 << wide {
		for at < n && key(at)<<g.common>>g.shift < uint64(value) {
			at++
		}
		g.starts[value] = uint32(at)
	}
	g.starts[1<<wide] = uint32(n)
	return g
}

// between returns the ranges from and up to which the last one that begins at
// or below a key is: it is from-1 when none of them does.
func (g *guide) between(key uint64) (from, to int) {
	if key < g.first {
		return 0, 0
	}
	if (key^g.first)>>(63-g.common)>>1 != 0 {
		n := int(g.starts[len(g.starts)-1])
		return n, n // above all: the last
	}
	value := key << g.common >> g.shift
	return int(g.starts[value]), int(g.starts[value+1])
}

func (r *ranges) index() {
	r.four, r.six = trim(r.four), trim(r.six)
	r.guide4 = newGuide(len(r.four), func(i int) uint64 { return uint64(r.four[i].low) << 32 })
	r.guide6 = newGuide(len(r.six), func(i int) uint64 { return r.six[i].low.hi })
}

// trim gives back the memory of a slice that is much longer than its content.
func trim[T any](s []T) []T {
	if cap(s)-len(s) > len(s)/8 {
		return append(make([]T, 0, len(s)), s...)
	}
	return s
}

func (r *ranges) empty() bool { return len(r.four) == 0 && len(r.six) == 0 }

func (r *ranges) size() int64 {
	return 8*int64(cap(r.four)) + 32*int64(cap(r.six)) + 4*int64(cap(r.guide4.starts)+cap(r.guide6.starts))
}

// has reports whether an address is in one of the ranges.
func (r *ranges) has(addr netip.Addr) bool {
	if addr.Is4() {
		octets := addr.As4()
		return r.has4(binary.BigEndian.Uint32(octets[:]))
	}
	if len(r.six) == 0 || !addr.IsValid() {
		return false
	}
	octets := addr.As16()
	return r.find6(pair{binary.BigEndian.Uint64(octets[:8]), binary.BigEndian.Uint64(octets[8:])}) >= 0
}

func (r *ranges) has4(a uint32) bool { return r.find4(a) >= 0 }

// find4 returns the range that an address is in, or -1.
func (r *ranges) find4(a uint32) int {
	if len(r.four) == 0 {
		return -1
	}
	low, high := r.guide4.between(uint64(a) << 32)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if r.four[middle].low <= a {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 || r.four[low-1].high < a {
		return -1
	}
	return low - 1
}

// find6 returns the range that an address is in, or -1.
func (r *ranges) find6(a pair) int {
	if len(r.six) == 0 {
		return -1
	}
	low, high := r.guide6.between(a.hi)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if a.less(r.six[middle].low) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == 0 || r.six[low-1].high.less(a) {
		return -1
	}
	return low - 1
}
