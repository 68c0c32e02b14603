package program

import "math/bits"

// locator finds a number's place among ascending ends. A number's highest bits,
// as of a float, name a bucket, so that both even and logarithmic ends lie a
// few to a bucket.
type locator struct {
	ends []int64 // the last is maxInt
	// starts has, by bucket, the first end that is in it or behind it.
	starts []uint16
	fine   uint8 // how many bits follow the highest one
	drop   uint8 // how many low bits are left out
}

const (
	leastFine, mostFine = 4, 8
	mostOctaves         = 8 // beside the evenly divided one
	longBucket          = 4 // ends; more are searched by halves
	maxEnds             = 1 << 16
)

// newLocator takes at most maxEnds ends.
func newLocator(ends []int64) locator {
	l := locator{ends: ends}
	last := len(ends) - 2
	if last < 0 {
		return l
	}
	width := bits.Len64(uint64(ends[last] - ends[0]))
	l.fine = uint8(min(max(bits.Len(uint(last)), leastFine), mostFine))
	l.drop = uint8(max(width-int(l.fine)-1-mostOctaves, 0))
	l.starts = make([]uint16, l.bucket(ends[last])+2)
	next := 0
	for i, end := range ends[:last+1] {
		for at := l.bucket(end); next <= at; next++ {
			l.starts[next] = uint16(i)
		}
	}
	l.starts[next] = uint16(last + 1)
	return l
}

// bucket is that of a number which is at least the first end.
func (l *locator) bucket(v int64) int {
	u := uint64(v-l.ends[0]) >> (l.drop & 63)
	shift := max(bits.Len64(u)-1-int(l.fine), 0)
	return shift<<(l.fine&63) + int(u>>(shift&63))
}

// find is the index of the first end that is at least v.
func (l *locator) find(v int64) int {
	if v <= l.ends[0] {
		return 0
	}
	i := l.bucket(v)
	if i >= len(l.starts)-1 {
		return len(l.ends) - 1
	}
	at, end := int(l.starts[i]), int(l.starts[i+1])
	if end-at > longBucket {
		return at + firstAtLeast(l.ends[at:end+1], v)
	}
	for l.ends[at] < v {
		at++
	}
	return at
}

// firstAtLeast is the index of the first of ascending ends that is at least v;
// the last one always is. It has no branch that a processor could mispredict.
func firstAtLeast(ends []int64, v int64) int {
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
