package backtest

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"github.com/backlot-video/backlot/services/rules/internal/column"
)

// more reads values of this page, or of the next.
func (r *leafReader) more() error {
	if r.reader == nil {
		page, err := r.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			r.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		parquet.Release(r.page)
		r.page, r.reader = page, page.Values()
	}
	n, err := r.reader.ReadValues(r.values)
	r.at, r.n = 0, n
	if errors.Is(err, io.EOF) {
		r.reader = nil
		return nil
	}
	return err
}

func (r *leafReader) close() {
	parquet.Release(r.page)
	_ = r.pages.Close()
}

// leaf is a column of a file that is read, and what is made of it.
type leaf struct {
	name   string
	index  int
	levels []level // the lists that it is within, from the outermost
	sinks  []sink
}

// level is a list around a leaf.
type level struct {
	slot    int
	rep     int  // repetition level of a further element
	def     int  // definition level from which on there is an element
	present int  // definition level from which on the list's message is present
	owner   bool // this leaf tells where the lists end
}

// sink makes one field of a leaf's values.
type sink struct {
	slot    int
	level   int // how many lists it is within
	how     how
	max     int  // definition level of a value
	present int  // definition level from which on the field's message is present
	zero    bool // a field without value is zero where its message is present
	nonzero bool // zero means missing
	number  func(*parquet.Value) (int64, bool)
}

// how tells what a sink does with a value.
type how uint8

const (
	asNumber   how = iota // into N
	asText                // into S
	asMinor               // into N; present where the message is
	asCurrency            // into S, beside asMinor
	asPresence            // of a message
	asNanos               // added to the seconds in N
)

var errUTF8 = errors.New("a string is not valid UTF-8")

// fill appends the values of n rows to a batch.
func (l *leaf) fill(r *leafReader, b *column.Batch, n int) error {
	rows := make([]int, len(l.levels)+1) // so far, by level
	for {
		v, err := r.peek()
		if err != nil {
			return err
		}
		if v == nil || v.RepetitionLevel() == 0 && rows[0] == n {
			if rows[0] < n {
				return fmt.Errorf("ends after %d of %d rows", rows[0], n)
			}
			return nil
		}
		r.at++
		if err := l.value(v, b, rows); err != nil {
			return err
		}
	}
}

// value adds a value: a new row at the level that repeats, and what is within.
func (l *leaf) value(v *parquet.Value, b *column.Batch, rows []int) error {
	rep, def := v.RepetitionLevel(), v.DefinitionLevel()
	at := 0
	if rep > 0 {
		for at = 1; at <= len(l.levels) && l.levels[at-1].rep != rep; at++ {
			b = &b.Cols[l.levels[at-1].slot].List.Elems
		}
		if at > len(l.levels) {
			return nil // within a list that nothing reads
		}
		b = l.levels[at-1].element(b)
	}
	for {
		rows[at]++
		for i := range l.sinks {
			if s := &l.sinks[i]; s.level == at {
				if err := s.add(&b.Cols[s.slot], rows[at]-1, v, def); err != nil {
					return err
				}
			}
		}
		if at == len(l.levels) {
			return nil
		}
		level := &l.levels[at]
		if c := &b.Cols[level.slot]; level.owner {
			appendOK(c, rows[at]-1, def >= level.present)
			c.List.Ends = append(c.List.Ends, int32(c.List.Elems.N))
		}
		if def < level.def {
			return nil
		}
		b = level.element(b)
		at++
	}
}

// element goes to the next element of a list and returns the batch that it is
// a row of.
func (l *level) element(b *column.Batch) *column.Batch {
	list := b.Cols[l.slot].List
	if l.owner {
		list.Elems.N++
		list.Ends[len(list.Ends)-1] = int32(list.Elems.N)
	}
	return &list.Elems
}

func appendOK(c *column.Column, row int, ok bool) {
	if row%64 == 0 {
		c.OK = append(c.OK, 0)
	}
	if ok {
		c.OK[row/64] |= 1 << (row % 64)
	}
}

// add appends a value to a column.
func (s *sink) add(c *column.Column, row int, v *parquet.Value, def int) error {
	known := def >= s.max
	switch s.how {
	case asPresence:
		appendOK(c, row, def >= s.present)
	case asText:
		code, length, err := text(c, v, known)
		if err != nil {
			return err
		}
		appendOK(c, row, known && (length > 0 || !s.nonzero))
		c.S.Codes = append(c.S.Codes, code)
	case asCurrency:
		code, _, err := text(c, v, known)
		if err != nil {
			return err
		}
		c.S.Codes = append(c.S.Codes, code)
	case asMinor:
		n := int64(0)
		if known {
			n, _ = s.number(v)
		}
		appendOK(c, row, def >= s.present)
		c.N = append(c.N, n)
	case asNanos:
		if known {
			n, _ := s.number(v)
			c.N[row] += n / 1000
		}
	case asNumber:
		n, ok := int64(0), s.zero && def >= s.present
		if known {
			n, ok = s.number(v)
			ok = ok && (n != 0 || !s.nonzero)
		}
		appendOK(c, row, ok)
		c.N = append(c.N, n)
	}
	return nil
}

// text returns the code of a string.
func text(c *column.Column, v *parquet.Value, known bool) (code uint32, length int, err error) {
	var raw []byte
	if known {
		raw = v.ByteArray()
	}
	if !utf8.Valid(raw) {
		return 0, 0, errUTF8
	}
	return c.S.Dict.Code(unsafe.String(unsafe.SliceData(raw), len(raw))), len(raw), nil
}
