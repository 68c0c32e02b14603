package column

import (
	"hash/maphash"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// maxDict is from how many values on a dictionary is given up for a new one.
const maxDict = 1 << 16

// Dict holds the different strings of a column.
type Dict struct {
	values []string
	index  []uint32 // 1 + position in values, by hash; a power of two
	hashes []uint32 // beside values
}

var dictSeed = maphash.MakeSeed()

// Code returns the position of a string, which is copied if it is new.
func (d *Dict) Code(s string) uint32 {
	h := uint32(maphash.String(dictSeed, s))
	if len(d.values)*2 >= len(d.index) {
		d.grow()
	}
	mask := uint32(len(d.index) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		entry := d.index[at]
		if entry == 0 {
			d.values, d.hashes = append(d.values, strings.Clone(s)), append(d.hashes, h)
			d.index[at] = uint32(len(d.values))
			return uint32(len(d.values) - 1)
		}
		if d.hashes[entry-1] == h && d.values[entry-1] == s {
			return entry - 1
		}
	}
}

func (d *Dict) grow() {
	d.index = make([]uint32, max(64, len(d.index)*2))
	mask := uint32(len(d.index) - 1)
	for i, h := range d.hashes {
		at := h & mask
		for d.index[at] != 0 {
			at = (at + 1) & mask
		}
		d.index[at] = uint32(i + 1)
	}
}

// Builder makes batches of decoded facts. Its dictionaries last from one batch
// to the next.
type Builder struct {
	root  scopeBuilder
	batch *Batch
}

type scopeBuilder struct {
	fields []fieldBuilder
	width  int
}

type fieldBuilder struct {
	*Field
	dict *Dict
	elem *scopeBuilder
}

// NewBuilder returns a builder of batches of a plan.
func NewBuilder(plan *Scope) *Builder {
	return &Builder{root: *newScopeBuilder(plan)}
}

func newScopeBuilder(plan *Scope) *scopeBuilder {
	b := &scopeBuilder{fields: make([]fieldBuilder, len(plan.Fields)), width: plan.width}
	for i, f := range plan.Fields {
		b.fields[i] = fieldBuilder{Field: f}
		if f.Elem != nil {
			b.fields[i].elem = newScopeBuilder(f.Elem)
		}
	}
	return b
}

// Begin starts a batch, whose memory is used again. Between Begin and End rows
// are added by Append, or column by column: then the caller sets Batch.N, and
// takes the codes of strings from each column's dictionary.
func (b *Builder) Begin(batch *Batch) {
	b.batch = batch
	b.root.begin(batch)
}

func (s *scopeBuilder) begin(batch *Batch) {
	batch.N = 0
	for len(batch.Cols) < s.width {
		batch.Cols = append(batch.Cols, Column{})
	}
	for i := range s.fields {
		f := &s.fields[i]
		c := &batch.Cols[f.Slot]
		c.OK, c.N, c.S.Codes = c.OK[:0], c.N[:0], c.S.Codes[:0]
		if f.dict == nil || len(f.dict.values) > maxDict {
			f.dict = &Dict{}
		}
		c.S.Dict = f.dict
		if f.elem != nil {
			if c.List == nil {
				c.List = &List{}
			}
			c.List.Ends = c.List.Ends[:0]
			f.elem.begin(&c.List.Elems)
		}
	}
}

// Append adds a fact as the next row.
func (b *Builder) Append(r *fact.Record) { b.root.append(b.batch, r, 0) }

// append adds the slots of a record that begin at base.
func (s *scopeBuilder) append(batch *Batch, r *fact.Record, base int) {
	row := batch.N
	batch.N++
	for i := range s.fields {
		f := &s.fields[i]
		c, slot := &batch.Cols[f.Slot], &r.Slots[base+f.Slot]
		if row%64 == 0 {
			c.OK = append(c.OK, 0)
		}
		if slot.OK {
			c.OK[row/64] |= 1 << (row % 64)
		}
		f.value(c, slot, r)
	}
}

// value adds the value of a slot to a column.
func (f *fieldBuilder) value(c *Column, slot *fact.Slot, r *fact.Record) {
	switch f.Type.Kind {
	case fact.Money:
		c.N = append(c.N, slot.N)
		f.text(c, slot)
	case fact.String:
		f.text(c, slot)
	case fact.List:
		for at := slot.First(); at != 0; at = int(r.Slots[at].N) {
			f.elem.append(&c.List.Elems, r, at+1)
		}
		c.List.Ends = append(c.List.Ends, int32(c.List.Elems.N))
	case fact.Message, fact.Invalid:
	default:
		c.N = append(c.N, slot.N)
	}
}

func (f *fieldBuilder) text(c *Column, slot *fact.Slot) {
	code := uint32(0)
	if slot.OK {
		code = f.dict.Code(slot.S)
	}
	c.S.Codes = append(c.S.Codes, code)
}

// End completes the batch.
func (b *Builder) End() { b.root.end(b.batch) }

func (s *scopeBuilder) end(batch *Batch) {
	padded := wordsFor(batch.N) * 64
	for i := range s.fields {
		f := &s.fields[i]
		c := &batch.Cols[f.Slot]
		switch f.Type.Kind {
		case fact.Money:
			c.N = pad(c.N, padded)
			c.S.Codes = pad(c.S.Codes, padded)
		case fact.String:
			c.S.Codes = pad(c.S.Codes, padded)
		case fact.List:
			f.elem.end(&c.List.Elems)
		case fact.Message, fact.Invalid:
		default:
			c.N = pad(c.N, padded)
		}
		c.OK = pad(c.OK, padded/64)
		c.S.Values = f.dict.values
	}
}

func pad[T any](values []T, n int) []T {
	var zero T
	for len(values) < n {
		values = append(values, zero)
	}
	return values
}

// Value returns the string of a code.
func (d *Dict) Value(code uint32) string { return d.values[code] }
