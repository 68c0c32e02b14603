package velocity

import (
	"encoding/binary"
	"slices"
)

// seen is one of the different values that a key had: when it was last had,
// the level of its column then, and 35 bits of its hash.
//
// A column keeps all values up to its limit (Config.Distinct). When there are
// more its level rises, and it keeps those whose hash ends in so many zero
// bits (Gibbons, "Distinct sampling", 2001): each then stands for 2^level. The
// level falls again when windows have passed; a value keeps the level at which
// it was last seen, so that the sum over a window stays without bias. With k
// values kept in a window the standard error is 1/sqrt(k).
type seen uint64

const (
	maxDistinct = 2000 // counts have 11 bits
	seenLevels  = 5
	maxLevel    = 1<<seenLevels - 1
	countMask   = 1<<11 - 1
)

// distinctLimit shares what an entry may keep among the seen columns.
func (t *tableState) distinctLimit(wanted int) int {
	return min(wanted, maxEntry*3/4/seenBytes/max(t.seens, 1))
}

func newSeen(t uint32, level uint8, hash uint64) seen {
	return seen(uint64(t&timeMask) | uint64(level)<<24 | hash>>29<<29)
}

func (s seen) level() uint8              { return uint8(s>>24) & maxLevel }
func (s seen) value() uint64             { return uint64(s) >> 29 }
func (s seen) time(newest uint32) uint32 { return newest - (newest-uint32(s))&timeMask }

// sampled tells whether a hash is kept at a level.
func sampled(value uint64, level uint8) bool { return value&(1<<level-1) == 0 }

func (e entry) seenCount(column int) int {
	return int(binary.LittleEndian.Uint16(e.data[e.atSeen(column):])) & countMask
}

func (e entry) seenLevel(column int) uint8 {
	return uint8(binary.LittleEndian.Uint16(e.data[e.atSeen(column):]) >> 11)
}

func (e entry) setSeen(column, count int, level uint8) {
	binary.LittleEndian.PutUint16(e.data[e.atSeen(column):], uint16(count)|uint16(level)<<11)
}

// seenEnd is where the values of a column end; they lie before it.
func (e entry) seenEnd(column int) int {
	end := e.size
	for i := range column {
		end -= e.seenCount(i) * seenBytes
	}
	return end
}

// see notes the values of a sample. It returns false, having noted only some,
// when the entry has to be rebuilt for another.
func (e entry) see(s *sample, state *tableState, limit int) bool {
	if e.seens() != state.seens {
		return false
	}
	for column := range state.seens {
		if hash := s.seen[column]; hash != 0 && !e.seeValue(column, hash, s.time, limit) {
			return false
		}
	}
	return true
}

func (e entry) seeValue(column int, hash uint64, t uint32, limit int) bool {
	count, level := e.seenCount(column), e.seenLevel(column)
	end, newest := e.seenEnd(column), e.newest()
	value := hash >> 29
	for at := end - count*seenBytes; at < end; at += seenBytes {
		known := seen(binary.LittleEndian.Uint64(e.data[at:]))
		if known.value() != value {
			continue
		}
		if known.time(newest) <= t {
			binary.LittleEndian.PutUint64(e.data[at:], uint64(newSeen(t, level, hash)))
		}
		return true
	}
	if !sampled(value, level) {
		return true
	}
	if count >= limit || e.used()+seenBytes > e.size {
		return false
	}
	begin := e.size - e.seenTotal()*seenBytes
	copy(e.data[begin-seenBytes:], e.data[begin:end-count*seenBytes])
	binary.LittleEndian.PutUint64(e.data[end-(count+1)*seenBytes:], uint64(newSeen(t, level, hash)))
	e.setSeen(column, count+1, level)
	return true
}

// distinct estimates the different values between two times, both included.
func (e entry) distinct(column int, low, high uint32) (n int64) {
	if column >= e.seens() {
		return 0
	}
	end, newest := e.seenEnd(column), e.newest()
	for at := end - e.seenCount(column)*seenBytes; at < end; at += seenBytes {
		s := seen(binary.LittleEndian.Uint64(e.data[at:]))
		if t := s.time(newest); t >= low && t <= high {
			n += 1 << s.level()
		}
	}
	return n
}

// thin drops the values before low, and while there is no room for one more,
// raises the level. It lowers the level by one when few are left.
func thin(values []seen, level uint8, newest, low uint32, limit int) ([]seen, uint8) {
	values = slices.DeleteFunc(values, func(s seen) bool { return s.time(newest) < low })
	if level > 0 && len(values) < limit/4 {
		return values, level - 1
	}
	for len(values) >= limit && level < maxLevel {
		level++
		values = slices.DeleteFunc(values, func(s seen) bool { return !sampled(s.value(), level) })
		for i, s := range values {
			if s.level() < level {
				values[i] = s&^(maxLevel<<24) | seen(level)<<24
			}
		}
	}
	return values, level
}
