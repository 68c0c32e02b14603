package program

import (
	"math"
	"math/bits"
)

// locator finds a number's place among ascending ends. A number's highest bits,
// as of a float, name a bucket, so that both even and logarithmic ends lie a
// few to a bucket. Numbers come in no order that a processor could predict, so
// that there are no branches that depend on them.
type locator struct {
	origin uint64 // the first end, in the order of uint64
	// offsets are the ends from the first one on; the last end, maxInt, is
	// farthest, and so is what follows it.
	offsets []uint64
	// starts has, by bucket, the first end that is in it or behind it.
	starts []uint16
	fine   uint8 // how many bits follow the highest one
	drop   uint8 // how many low bits are left out
	long   bool  // some bucket has more than fewEnds
	even   bool  // each number has a bucket of its own
}

const (
	leastFine, mostFine = 4, 8
	mostOctaves         = 8 // beside the evenly divided one
	fewEnds             = 4 // are compared all; more are searched by halves
	maxEnds             = 1 << 16
	farthest            = math.MaxUint64
	sign                = 1 << 63
)

// newLocator takes at most maxEnds ends, of which the last is maxInt.
func newLocator(ends []int64) locator {
	last := len(ends) - 1
	l := locator{origin: uint64(ends[0]) ^ sign, offsets: make([]uint64, last+1+fewEnds)}
	for i := range l.offsets {
		l.offsets[i] = farthest
		if i < last {
			l.offsets[i] = uint64(ends[i] - ends[0])
		}
	}
	if last == 0 {
		l.starts, l.even = []uint16{0}, true
		return l
	}
	for l.fine = leastFine; ; l.fine++ {
		if l.divide(last) <= fewEnds || l.fine == mostFine {
			return l
		}
	}
}

// divide makes the buckets of all ends but the last, and returns how many ends
// one of them has, at most.
func (l *locator) divide(last int) (most int) {
	greatest := l.offsets[last-1]
	l.drop = uint8(max(bits.Len64(greatest)-int(l.fine)-1-mostOctaves, 0))
	l.starts = make([]uint16, l.bucket(greatest)+2)
	next := 0
	for i, offset := range l.offsets[:last] {
		for at := int(l.bucket(offset)); next <= at; next++ {
			l.starts[next] = uint16(i)
		}
		most = max(most, i+1-int(l.starts[next-1]))
	}
	l.starts[next] = uint16(last)
	l.long = most > fewEnds
	l.even = l.drop == 0 && greatest < 2<<(l.fine&63)
	return most
}

// bucket is that of a number so far behind the first end.
func (l *locator) bucket(offset uint64) uint64 {
	offset >>= l.drop & 63
	shift := uint64(bits.Len64(offset|1<<(l.fine&63))) - 1 - uint64(l.fine)
	return shift<<(l.fine&63) + offset>>(shift&63)
}

// findEven is find where each number has a bucket of its own.
func (l *locator) findEven(v int64) int {
	offset, below := bits.Sub64(uint64(v)^sign, l.origin, 0)
	return int(l.starts[min(offset&(below-1), uint64(len(l.starts)-1))])
}

// find is the index of the first end that is at least v.
func (l *locator) find(v int64) int {
	offset, below := bits.Sub64(uint64(v)^sign, l.origin, 0)
	offset &= below - 1 // 0
	bucket, last := l.bucket(offset), uint64(len(l.starts)-1)
	_, beyond := bits.Sub64(last, bucket, 0)
	bucket ^= (bucket ^ last) & -beyond // last
	at := uint64(l.starts[bucket])
	if l.long {
		return l.findLong(at, bucket, offset)
	}
	few := l.offsets[at : at+fewEnds]
	_, a := bits.Sub64(few[0], offset, 0)
	_, b := bits.Sub64(few[1], offset, 0)
	_, c := bits.Sub64(few[2], offset, 0)
	_, d := bits.Sub64(few[3], offset, 0)
	return int(at + a + b + c + d)
}

func (l *locator) findLong(at, bucket, offset uint64) int {
	behind := l.starts[min(int(bucket)+1, len(l.starts)-1)]
	return int(at) + firstAtLeast(l.offsets[at:behind+1], offset)
}

// firstAtLeast is the index of the first of ascending ends that is at least v;
// the last one always is. It has no branch that a processor could mispredict.
func firstAtLeast(ends []uint64, v uint64) int {
	base, n := 0, len(ends)
	for n > 1 {
		half, less := n>>1, 0
		if ends[base+half-1] < v {
			less = 1
		}
		base += half & -less
		n -= half
	}
	return base
}
