package velocity

import "encoding/binary"

// rebuilder holds an entry while it is merged, widened or grown. It is used
// again, by one shard at a time.
type rebuilder struct {
	rows   []row
	values [][]seen // by seen column
	levels []uint8
}

// open reads an entry; columns that its table has got since are 0.
func (b *rebuilder) open(e entry, state *tableState) {
	b.rows = b.rows[:0]
	newest, first, rowBytes := e.newest(), e.rowsAt(), e.rowBytes()
	offsets, widths := e.offsets()
	for i := range e.rows() {
		at := first + i*rowBytes
		r := row{}
		r.time, r.shape = e.rowTime(at, newest)
		r.count = load(e.data, at+rowPrefix, 64-8*widths[0])
		for j := range e.values() {
			r.values[j] = load(e.data, at+int(offsets[j]), 64-8*widths[j+1])
		}
		b.rows = append(b.rows, r)
	}
	b.empty(state)
	for column := range e.seens() {
		end := e.seenEnd(column)
		for at := end - e.seenCount(column)*seenBytes; at < end; at += seenBytes {
			b.values[column] = append(b.values[column], seen(binary.LittleEndian.Uint64(e.data[at:])))
		}
		b.levels[column] = e.seenLevel(column)
	}
}

// empty forgets the seen values.
func (b *rebuilder) empty(state *tableState) {
	for len(b.values) < state.seens {
		b.values, b.levels = append(b.values, nil), append(b.levels, 0)
	}
	b.values, b.levels = b.values[:state.seens], b.levels[:state.seens]
	for i := range b.values {
		b.values[i], b.levels[i] = b.values[i][:0], 0
	}
}

// count adds a sample, whatever room it takes.
func (b *rebuilder) count(s *sample, newest uint32) {
	if s.row {
		i := len(b.rows)
		b.rows = append(b.rows, row{})
		for ; i > 0 && b.rows[i-1].time > s.time; i-- {
			b.rows[i] = b.rows[i-1]
		}
		b.rows[i] = row{s.time, s.shape, 1, s.values}
	}
	for column := range b.values {
		if hash := s.seen[column]; hash != 0 {
			b.see(column, hash, s.time, newest)
		}
	}
}

func (b *rebuilder) see(column int, hash uint64, t, newest uint32) {
	level := b.levels[column]
	for i, known := range b.values[column] {
		if known.value() == hash>>29 {
			if known.time(newest) <= t {
				b.values[column][i] = newSeen(t, level, hash)
			}
			return
		}
	}
	if sampled(hash>>29, level) {
		b.values[column] = append(b.values[column], newSeen(t, level, hash))
	}
}

// merge drops what no window at newest reaches and merges rows that no window
// tells apart.
func (b *rebuilder) merge(state *tableState, newest uint32, limit int) {
	low := state.low(newest)
	out := b.rows[:0]
	for i := range b.rows {
		r := b.rows[i]
		if r.time < low {
			continue
		}
		if at := state.mergeable(out, &r, newest); at >= 0 {
			out[at].time = max(out[at].time, r.time)
			out[at].count += r.count
			state.merge(&out[at].values, &r.values)
			continue
		}
		out = append(out, r)
	}
	b.rows = out
	for column := range b.values {
		b.values[column], b.levels[column] = thin(b.values[column], b.levels[column], newest, low, limit)
	}
}

// lookBack bounds how many rows of one step, of different shapes, are looked
// through.
const lookBack = 8

// mergeable finds among the last rows one that r can be added to, or -1.
func (t *tableState) mergeable(rows []row, r *row, newest uint32) int {
	for i := len(rows) - 1; i >= max(0, len(rows)-lookBack); i-- {
		if !t.sameVisibleStep(rows[i].time, r.time, newest) {
			return -1
		}
		if rows[i].shape == r.shape {
			return i
		}
	}
	return -1
}

// sameVisibleStep is sameStep in the windows at newest that reach the later
// time.
func (t *tableState) sameVisibleStep(earlier, later, newest uint32) bool {
	for i := range t.windows {
		w := &t.windows[i]
		if later >= w.low(newest) && w.step.number(earlier) != w.step.number(later) {
			return false
		}
	}
	return true
}

// fit drops the oldest rows of an entry that would be too large, and returns
// its bytes. Of the seen values it keeps all: they are bounded.
func (b *rebuilder) fit(state *tableState) (widths [maxColumns + 1]uint8, rowBytes, bytes int, dropped bool) {
	for {
		widths, rowBytes = b.widths(state)
		fixed := atWidths + 1 + state.values + 2*state.seens
		for _, values := range b.values {
			fixed += len(values) * seenBytes
		}
		bytes = fixed + len(b.rows)*rowBytes
		if bytes+rowBytes+seenBytes <= maxEntry {
			return widths, rowBytes, bytes, dropped
		}
		b.rows = b.rows[:copy(b.rows, b.rows[(len(b.rows)+7)/8:])]
		dropped = true
	}
}

func (b *rebuilder) widths(state *tableState) (widths [maxColumns + 1]uint8, rowBytes int) {
	for i := range state.values + 1 {
		widths[i] = 1
	}
	for i := range b.rows {
		r := &b.rows[i]
		widths[0] = max(widths[0], widthOf(r.count))
		for j := range state.values {
			widths[j+1] = max(widths[j+1], widthOf(r.values[j]))
		}
	}
	rowBytes = rowPrefix
	for i := range state.values + 1 {
		rowBytes += int(widths[i])
	}
	return widths, rowBytes
}

// write makes the entry in a slot that is large enough.
func (b *rebuilder) write(e entry, t *table, state *tableState, h keyHash, newest uint32, widths *[maxColumns + 1]uint8, rowBytes int) {
	e.data[0] = live | referenced
	e.data[atValues], e.data[atSeens], e.data[atRow] = uint8(state.values), uint8(state.seens), uint8(rowBytes)
	binary.LittleEndian.PutUint16(e.data[atTable:], t.id)
	e.setRows(len(b.rows))
	e.setNewest(newest)
	binary.LittleEndian.PutUint64(e.data[atHash:], h.high)
	binary.LittleEndian.PutUint64(e.data[atHash+8:], h.low)
	copy(e.data[atWidths:], widths[:state.values+1])
	end := e.size
	for column, values := range b.values {
		e.setSeen(column, len(values), b.levels[column])
		for _, s := range values {
			end -= seenBytes
			binary.LittleEndian.PutUint64(e.data[end:], uint64(s))
		}
	}
	at := e.rowsAt()
	for i := range b.rows {
		r := &b.rows[i]
		e.put(at, r.time, r.shape, r.count, &r.values)
		at += rowBytes
	}
}

// offsets are where the value columns are in a row.
func (e entry) offsets() (offsets [maxColumns]uint8, widths []byte) {
	widths = e.data[atWidths : atWidths+1+e.values()]
	at := rowPrefix + widths[0]
	for i, width := range widths[1:] {
		offsets[i] = at
		at += width
	}
	return offsets, widths
}
