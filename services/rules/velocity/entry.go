package velocity

import (
	"encoding/binary"
	"math"
)

// entry is what a key has: a header, rows in the order of time, and at the end
// of its slot, backwards, the values that it has seen. All numbers take as
// many bytes as the entry's largest needs.
//
//	0  flags              live, used since the eviction hand passed
//	1  value columns      2  seen columns      3  bytes of a row
//	4  table, 2 bytes     6  rows, 2 bytes
//	8  newest, 4 bytes    Unix seconds of the last event
//	12 hash, 16 bytes
//	28 widths             of the count and of each value column
//	   seen, 2 bytes each how many, and their level in the upper 5 bits
//	   rows               3 bytes of time, 1 of shape, the count, the values
//
// A time is kept modulo 2^24 seconds, 194 days; all of an entry are within 31
// days of its newest.
type entry struct {
	data []byte // with slack
	size int
}

const (
	atValues = 1
	atSeens  = 2
	atRow    = 3
	atTable  = 4
	atRows   = 6
	atNewest = 8
	atHash   = 12
	atWidths = 28

	live       = 1
	referenced = 2

	timeMask  = 1<<24 - 1
	rowPrefix = 4
	seenBytes = 8
	maxRows   = math.MaxUint16
)

func (e entry) values() int        { return int(e.data[atValues]) }
func (e entry) seens() int         { return int(e.data[atSeens]) }
func (e entry) rowBytes() int      { return int(e.data[atRow]) }
func (e entry) table() uint16      { return binary.LittleEndian.Uint16(e.data[atTable:]) }
func (e entry) rows() int          { return int(binary.LittleEndian.Uint16(e.data[atRows:])) }
func (e entry) newest() uint32     { return binary.LittleEndian.Uint32(e.data[atNewest:]) }
func (e entry) setRows(n int)      { binary.LittleEndian.PutUint16(e.data[atRows:], uint16(n)) }
func (e entry) setNewest(t uint32) { binary.LittleEndian.PutUint32(e.data[atNewest:], t) }

func (e entry) hash() keyHash {
	return keyHash{binary.LittleEndian.Uint64(e.data[atHash:]), binary.LittleEndian.Uint64(e.data[atHash+8:])}
}

func (e entry) is(h keyHash) bool {
	return binary.LittleEndian.Uint64(e.data[atHash:]) == h.high && binary.LittleEndian.Uint64(e.data[atHash+8:]) == h.low
}

// atSeen is where a seen column's count and level are.
func (e entry) atSeen(column int) int { return atWidths + 1 + e.values() + 2*column }

func (e entry) rowsAt() int { return e.atSeen(e.seens()) }

// seenTotal is how many values all seen columns hold.
func (e entry) seenTotal() (n int) {
	for i := range e.seens() {
		n += e.seenCount(i)
	}
	return n
}

// used is the bytes of the slot that are not between rows and seen values.
func (e entry) used() int { return e.rowsAt() + e.rows()*e.rowBytes() + e.seenTotal()*seenBytes }

// rowTime is the time and shape of a row.
func (e entry) rowTime(at int, newest uint32) (t uint32, shape uint8) {
	word := binary.LittleEndian.Uint32(e.data[at:])
	return newest - (newest-word)&timeMask, uint8(word >> 24)
}

// load is a number that is so many bits narrower than a word.
func load(data []byte, at int, narrow uint8) int64 {
	return int64(binary.LittleEndian.Uint64(data[at:])<<(narrow&63)) >> (narrow & 63)
}

// store writes the lower bytes of a word.
func store(data []byte, at int, width uint8, value uint64) {
	mask := ^uint64(0) >> ((64 - 8*uint(width)) & 63)
	word := binary.LittleEndian.Uint64(data[at:])
	binary.LittleEndian.PutUint64(data[at:], word&^mask|value&mask)
}

// widthOf is the bytes that a number takes, at least 1.
func widthOf(value int64) uint8 {
	for width := uint8(1); width < 8; width++ {
		if fits(value, width) {
			return width
		}
	}
	return 8
}

func fits(value int64, width uint8) bool {
	shift := (64 - 8*uint(width)) & 63
	return value<<shift>>shift == value
}

// row is one row outside of an entry. A column that its shape does not have
// is 0.
type row struct {
	time   uint32
	shape  uint8
	count  int64
	values [maxColumns]int64
}

// sample is an event as a table counts it.
type sample struct {
	time  uint32
	shape uint8
	row   bool // there is something besides seen values
	// values of the table's value columns; 0 where the shape has none.
	values [maxColumns]int64
	seen   [maxColumns]uint64 // of the seen columns; 0: none
}

// addInPlace counts a sample in a row of its step, or in a new one where there
// is room. It returns false, and changes nothing, when the entry has to be
// rebuilt for that.
func (e entry) addInPlace(s *sample, state *tableState) bool {
	if e.values() != state.values {
		return false
	}
	newest, rowBytes, first := e.newest(), e.rowBytes(), e.rowsAt()
	position := e.rows()
	for i := position - 1; i >= 0; i-- {
		at := first + i*rowBytes
		t, shape := e.rowTime(at, newest)
		if t > s.time {
			position = i
		}
		if t == s.time || state.sameStep(t, s.time) {
			if shape == s.shape {
				return e.increase(at, s, max(t, s.time), state)
			}
		} else if t < s.time {
			break
		}
	}
	end := first + e.rows()*rowBytes
	if end+rowBytes+e.seenTotal()*seenBytes > e.size || e.rows() == maxRows || !e.widthsFit(1, s, state) {
		return false
	}
	at := first + position*rowBytes
	copy(e.data[at+rowBytes:end+rowBytes], e.data[at:end])
	e.setRows(e.rows() + 1)
	e.put(at, s.time, s.shape, 1, &s.values)
	return true
}

// dropPassed drops the rows before a time, and tells whether there were any.
func (e entry) dropPassed(low uint32) bool {
	newest, rowBytes, first, rows := e.newest(), e.rowBytes(), e.rowsAt(), e.rows()
	passed := 0
	for passed < rows {
		if t, _ := e.rowTime(first+passed*rowBytes, newest); t >= low {
			break
		}
		passed++
	}
	if passed == 0 {
		return false
	}
	copy(e.data[first:], e.data[first+passed*rowBytes:first+rows*rowBytes])
	e.setRows(rows - passed)
	return true
}

// sameStep tells whether two times are in one step of each window.
func (t *tableState) sameStep(a, b uint32) bool {
	for i := range t.windows {
		if step := &t.windows[i].step; step.number(a) != step.number(b) {
			return false
		}
	}
	return true
}

func (e entry) widthsFit(count int64, s *sample, state *tableState) bool {
	if !fits(count, e.data[atWidths]) {
		return false
	}
	for i := range state.values {
		if !fits(s.values[i], e.data[atWidths+1+i]) {
			return false
		}
	}
	return true
}

// increase adds a sample to a row of its shape.
func (e entry) increase(at int, s *sample, t uint32, state *tableState) bool {
	widths := e.data[atWidths : atWidths+1+state.values]
	offset := at + rowPrefix
	var values [maxColumns]int64
	count := load(e.data, offset, 64-8*widths[0]) + 1
	if !fits(count, widths[0]) {
		return false
	}
	offset += int(widths[0])
	for i := range state.values {
		values[i] = load(e.data, offset, 64-8*widths[i+1])
		offset += int(widths[i+1])
	}
	state.merge(&values, &s.values)
	for i := range state.values {
		if !fits(values[i], widths[i+1]) {
			return false
		}
	}
	e.put(at, t, s.shape, count, &values)
	return true
}

// merge adds up the value columns of two rows of one shape.
func (t *tableState) merge(into, from *[maxColumns]int64) {
	for i := range t.columns {
		switch c := &t.columns[i]; c.Kind {
		case Sum:
			into[c.pos] = addSaturating(into[c.pos], from[c.pos])
		case Max:
			into[c.pos] = max(into[c.pos], from[c.pos])
		case Events, Distinct:
		}
	}
}

// put writes a row, word by word.
func (e entry) put(at int, t uint32, shape uint8, count int64, values *[maxColumns]int64) {
	widths := e.data[atWidths : atWidths+1+e.values()]
	word, bits := uint64(t&timeMask)|uint64(shape)<<24, uint(8*rowPrefix)
	for i, width := range widths {
		value := uint64(count)
		if i > 0 {
			value = uint64(values[i-1])
		}
		narrow := (64 - 8*uint(width)) & 63
		value = value << narrow >> narrow
		word |= value << bits
		if bits += 8 * uint(width); bits >= 64 {
			binary.LittleEndian.PutUint64(e.data[at:], word)
			at += 8
			bits -= 64
			word = value >> (8*uint(width) - bits)
		}
	}
	if bits > 0 {
		store(e.data, at, uint8(bits/8), word)
	}
}

// addSaturating adds, stopping at the ends of int64.
func addSaturating(a, b int64) int64 {
	sum := a + b
	if a > 0 && b > 0 && sum <= 0 {
		return math.MaxInt64
	}
	if a < 0 && b < 0 && sum >= 0 {
		return math.MinInt64
	}
	return sum
}
