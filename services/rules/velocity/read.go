package velocity

import (
	"encoding/binary"
	"math"
)

// Reading is what a window holds.
type Reading struct {
	Count    int64 // of events that have the field
	Value    int64 // the sum or the largest; 0 when Count is 0
	Distinct int64
	Overflow bool // the sum does not fit: Value is not to be used
	// Warming tells that the window has been counted for less than its length:
	// the reading is then a lower bound of count, sum of what is not negative,
	// maximum and different values.
	Warming bool
}

// acc adds up one field from the newest row on.
type acc struct {
	unit         uint64 // what must be there in a shape
	shift        uint8  // and where
	offset       uint8  // of its value in a row; 0: none
	narrow       uint8  // bits that the value is narrower than a word
	careful      bool   // it is the largest that counts, or the sum may overflow
	largest      bool
	overflow     bool
	count, value int64
}

// reader is what reading an entry needs besides it. A shard has one, so that none
// must be zeroed for each event.
type reader struct {
	group *Group
	state *tableState
	units [maxColumns]uint8 // of the group's fields: 0 means that none is read
	accs  [maxColumns]acc
}

// answer fills the readings of a group's queries of what an entry has.
func (r *reader) answer(e entry, state *tableState, g *Group, record *Record, out []Reading) {
	e.data[0] |= referenced
	r.group, r.state = g, state
	for i, column := range g.columns {
		unit := uint8(record.Units>>(4*column)) & 15
		if g.Fields[i].Kind == Events {
			unit = 1
		}
		r.units[i] = unit
	}
	r.read(e, uint32(record.At), out)
}

// read fills the readings of a group's windows that end at a time.
func (r *reader) read(e entry, at uint32, out []Reading) {
	newest := e.newest()
	if at >= newest {
		r.rows(e, r.group.windows, at, math.MaxUint32, out)
	} else {
		// The windows of a late event end in steps of their own.
		for i := range r.group.windows {
			w := &r.group.windows[i]
			r.rows(e, r.group.windows[i:i+1], at, w.step.last(at), out)
		}
	}
	if e.seens() > 0 && r.state.seens > 0 {
		r.seen(e, at, out)
	}
}

// rows adds up from the newest row on; windows lie within one another.
func (r *reader) rows(e entry, windows []windowQuery, at, high uint32, out []Reading) {
	narrow := r.prepare(e)
	accs, shapes, data := r.accs[:len(r.group.Fields)], r.state.shapes, e.data
	newest, rowBytes, first := e.newest(), e.rowBytes(), e.rowsAt()
	p := first + (e.rows()-1)*rowBytes
	words, alike := r.words(e, p, narrow)
	for w := range windows {
		low := lowOf(at, windows[w].step, windows[w].span)
		if alike && high == math.MaxUint32 {
			p = r.add(&words, data, p, low)
		}
		for ; p >= first; p -= rowBytes {
			t, number := e.rowTime(p, newest)
			if t < low {
				break
			}
			if t > high {
				continue
			}
			shape, count := shapes[number], load(data, p+rowPrefix, narrow)
			for i := range accs {
				a := &accs[i]
				if !a.in(shape) {
					continue
				}
				a.count += count
				if a.offset > 0 {
					value := load(data, p+int(a.offset), a.narrow)
					if a.careful {
						a.include(value, count)
					} else {
						a.value += value
					}
				}
			}
		}
		r.put(&windows[w], out)
	}
}

// words are rows that fit a word, of one shape, in which one field at most is
// added up. So are most rows of most keys: they need no memory but their own.
type words struct {
	units           uint64
	newest          uint32
	first, rowBytes int
	shape           uint8
	// Bits of a word above a number, and bits that it is narrower.
	countTop, countNarrow, valueTop, valueNarrow uint8
}

// words is false where the row at p is none of them.
func (r *reader) words(e entry, p int, narrow uint8) (w words, alike bool) {
	w.newest, w.first, w.rowBytes = e.newest(), e.rowsAt(), e.rowBytes()
	if w.rowBytes > 8 || p < w.first {
		return w, false
	}
	_, w.shape = e.rowTime(p, w.newest)
	w.units = r.state.shapes[w.shape]
	w.countTop, w.countNarrow = narrow-8*rowPrefix, narrow
	summed := 0
	for i := range r.group.Fields {
		if a := &r.accs[i]; a.offset > 0 && a.in(w.units) {
			if summed++; a.careful || summed > 1 {
				return w, false
			}
			w.valueTop, w.valueNarrow = a.narrow-8*a.offset, a.narrow
		}
	}
	return w, true
}

// add adds up rows from p on, and returns the first that is before low or of
// another shape.
func (r *reader) add(w *words, data []byte, p int, low uint32) int {
	newest, shape := w.newest, w.shape
	var count, value int64
	for ; p >= w.first; p -= w.rowBytes {
		word := binary.LittleEndian.Uint64(data[p:])
		if newest-(newest-uint32(word))&timeMask < low || uint8(word>>24) != shape {
			break
		}
		count += int64(word<<(w.countTop&63)) >> (w.countNarrow & 63)
		value += int64(word<<(w.valueTop&63)) >> (w.valueNarrow & 63)
	}
	for i := range r.group.Fields {
		if a := &r.accs[i]; a.in(w.units) {
			if a.count += count; a.offset > 0 {
				a.value += value
			}
		}
	}
	return p
}

// prepare finds the fields in the rows of an entry, and by how many bits a
// count is narrower than a word.
func (r *reader) prepare(e entry) (narrow uint8) {
	widths := e.data[atWidths : atWidths+1+e.values()]
	for i := range r.group.Fields {
		column := r.group.columns[i]
		c := &r.state.columns[column]
		a := &r.accs[i]
		*a = acc{}
		a.shift, a.unit, a.largest = uint8(4*column), uint64(r.units[i]), c.Kind == Max
		if a.unit == 0 {
			a.unit = noUnit
		}
		if (c.Kind == Sum || c.Kind == Max) && c.pos < len(widths)-1 {
			width := widths[c.pos+1]
			a.narrow, a.careful = 64-8*width, a.largest || width > safeWidth
			a.offset = rowPrefix + widths[0]
			for _, width := range widths[1 : c.pos+1] {
				a.offset += width
			}
		}
	}
	return 64 - 8*widths[0]
}

// safeWidth is the bytes of values of which maxRows cannot overflow.
const safeWidth = 5

const noUnit = 16 // more than a nibble

// in tells whether rows of a shape have the field.
func (a *acc) in(shape uint64) bool { return shape>>(a.shift&63)&15 == a.unit }

// include takes the value of a row in, whose count is in already.
func (a *acc) include(value, count int64) {
	if a.largest {
		if a.count == count || value > a.value {
			a.value = value
		}
		return
	}
	sum := a.value + value
	if (a.value^sum)&(value^sum) < 0 || value == math.MaxInt64 || value == math.MinInt64 {
		a.overflow = true
		sum = addSaturating(a.value, value)
	}
	a.value = sum
}

func (r *reader) put(w *windowQuery, out []Reading) {
	for i := range w.reads {
		read := &w.reads[i]
		a := &r.accs[read.acc]
		reading := &out[read.reading]
		reading.Count, reading.Value, reading.Overflow = a.count, a.value, a.overflow
	}
}

func (r *reader) seen(e entry, at uint32, out []Reading) {
	for i := range r.group.windows {
		w := &r.group.windows[i]
		for j := range w.reads {
			if read := &w.reads[j]; read.kind == Distinct {
				high := w.step.last(at)
				out[read.reading].Distinct = e.distinct(r.state.columns[read.column].pos, lowOf(at, w.step, w.span), high)
			}
		}
	}
}
