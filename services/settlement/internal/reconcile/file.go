// Package reconcile compares what we have booked with a settlement file, which
// says what a payment provider has done.
//
//	file.go     Reader: rows of a CSV file, one after the other
//	amount.go   amounts as files write them
//	compare.go  Comparison: rows against what we have
//	report.go   Report, and how it is written as text and CSV
//
// A file is read as a stream and has limits in every direction; a fault names
// line and column. It does no I/O but to given readers and writers.
package reconcile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/backlot-video/backlot/kit/money"
)

// The limits of a file.
const (
	MaxSize      = 64 << 20 // bytes
	MaxRows      = 500_000
	MaxRecord    = 16 << 10 // bytes of a row
	MaxColumns   = 64
	MaxReference = 128 // bytes
)

// ErrFile means a file that cannot be read. A *FileError says where.
var ErrFile = errors.New("settlement file")

// FileError is a fault of a file. It wraps ErrFile.
type FileError struct {
	Line, Column int    // from 1; 0 where there is none
	Name         string // of the column; may be empty
	Problem      string
}

// Error implements error.
func (e *FileError) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	return b.String() + e.Problem
}

// Unwrap gives ErrFile.
func (e *FileError) Unwrap() error { return ErrFile }

// Mapping says which columns hold what, by their names in the header. Zero
// fields mean what is written beside them.
type Mapping struct {
	Reference  string   // "reference"
	Amount     string   // "amount"
	Currency   string   // "currency"
	State      string   // "state"; without such a column every row is settled
	Separator  rune     // ','
	MinorUnits bool     // amounts are whole minor units, not decimal
	Settled    []string // states: settled, succeeded, paid
	Failed     []string // failed, declined, cancelled
}

func (m Mapping) withDefaults() Mapping {
	for _, name := range []struct {
		field *string
		value string
	}{{&m.Reference, "reference"}, {&m.Amount, "amount"}, {&m.Currency, "currency"}, {&m.State, "state"}} {
		if *name.field == "" {
			*name.field = name.value
		}
	}
	if m.Separator == 0 {
		m.Separator = ','
	}
	if len(m.Settled) == 0 {
		m.Settled = []string{"settled", "succeeded", "paid"}
	}
	if len(m.Failed) == 0 {
		m.Failed = []string{"failed", "declined", "cancelled"}
	}
	return m
}

// Row is what a file says of one payment.
type Row struct {
	Line      int
	Reference string
	Amount    money.Amount // payouts may be written below zero
	Moved     bool         // whether money moved
	State     string       // as the file writes it
}

// Reader reads rows.
type Reader struct {
	csv     *csv.Reader
	limit   *limited
	mapping Mapping
	columns []string // of the header
	place   struct{ reference, amount, currency, state int }
	moved   map[string]bool // by state
	rows    int
	maxRows int // MaxRows, but in tests
}

// NewReader reads the header. It returns a *FileError where a column is missing
// or a name means two columns.
func NewReader(source io.Reader, mapping Mapping) (*Reader, error) {
	mapping = mapping.withDefaults()
	separates := mapping.Separator == '\t' || mapping.Separator >= ' ' && mapping.Separator < utf8.RuneSelf && mapping.Separator != '"'
	if !separates {
		return nil, &FileError{Problem: fmt.Sprintf("%q cannot separate columns", mapping.Separator)}
	}
	limit := &limited{source: source, most: MaxRecord + readAhead, size: MaxSize}
	r := &Reader{csv: csv.NewReader(limit), limit: limit, mapping: mapping, moved: map[string]bool{}, maxRows: MaxRows}
	r.csv.Comma, r.csv.ReuseRecord, r.csv.FieldsPerRecord = mapping.Separator, true, -1
	for _, state := range mapping.Settled {
		r.moved[strings.ToLower(state)] = true
	}
	for _, state := range mapping.Failed {
		if r.moved[strings.ToLower(state)] {
			return nil, &FileError{Problem: fmt.Sprintf("state %q means both settled and failed", state)}
		}
		r.moved[strings.ToLower(state)] = false
	}
	header, err := r.record()
	if errors.Is(err, io.EOF) {
		return nil, &FileError{Problem: "is empty"}
	}
	if err != nil {
		return nil, err
	}
	return r, r.header(header)
}

// header finds the columns.
func (r *Reader) header(header []string) error {
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		r.columns = append(r.columns, strings.TrimSpace(name))
	}
	for _, wanted := range []struct {
		name     string
		place    *int
		optional bool
	}{
		{r.mapping.Reference, &r.place.reference, false},
		{r.mapping.Amount, &r.place.amount, false},
		{r.mapping.Currency, &r.place.currency, false},
		{r.mapping.State, &r.place.state, true},
	} {
		*wanted.place = -1
		for i, name := range r.columns {
			if !strings.EqualFold(name, wanted.name) {
				continue
			}
			if *wanted.place >= 0 {
				return &FileError{Line: 1, Column: 1, Problem: fmt.Sprintf("two columns are called %q", wanted.name)}
			}
			*wanted.place = i
		}
		if *wanted.place < 0 && !wanted.optional {
			return &FileError{Line: 1, Column: 1, Problem: fmt.Sprintf("has no column %q, only %q", wanted.name, r.columns)}
		}
	}
	return nil
}

// record reads a line of CSV within the limits.
func (r *Reader) record() ([]string, error) {
	r.limit.most = r.csv.InputOffset() + MaxRecord + readAhead
	record, err := r.csv.Read()
	line, column := 0, 0
	if len(record) > 0 {
		line, column = r.csv.FieldPos(0)
	}
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		return nil, &FileError{Line: parse.Line, Column: parse.Column, Problem: parse.Err.Error()}
	case err != nil:
		return nil, err
	case len(record) > MaxColumns:
		return nil, &FileError{Line: line, Column: column, Problem: fmt.Sprintf("has %d columns, at most %d", len(record), MaxColumns)}
	}
	return record, nil
}

// Next returns the next row, io.EOF after the last one, or a *FileError.
func (r *Reader) Next() (Row, error) {
	record, err := r.record()
	if err != nil {
		return Row{}, err
	}
	line, column := r.csv.FieldPos(0)
	if r.rows++; r.rows > r.maxRows {
		return Row{}, &FileError{Line: line, Column: column, Problem: fmt.Sprintf("more than %d rows; part the file", r.maxRows)}
	}
	if len(record) != len(r.columns) {
		return Row{}, &FileError{Line: line, Column: column, Problem: fmt.Sprintf("has %d columns, the header %d", len(record), len(r.columns))}
	}
	for i, text := range record {
		if !utf8.ValidString(text) {
			return Row{}, r.fault(i, "is not UTF-8")
		}
	}
	return r.row(record, line)
}

func (r *Reader) row(record []string, line int) (Row, error) {
	row := Row{Line: line, Moved: true, Reference: strings.TrimSpace(record[r.place.reference])}
	if row.Reference == "" || len(row.Reference) > MaxReference {
		return Row{}, r.fault(r.place.reference, fmt.Sprintf("has %d bytes, want 1 to %d", len(row.Reference), MaxReference))
	}
	currency := strings.ToUpper(strings.TrimSpace(record[r.place.currency]))
	digits, known := money.Exponent(currency)
	if !known {
		return Row{}, r.fault(r.place.currency, fmt.Sprintf("%q is not in ISO 4217", currency))
	}
	if r.mapping.MinorUnits {
		digits = 0
	}
	minor, err := parseAmount(strings.TrimSpace(record[r.place.amount]), digits)
	if err != nil {
		return Row{}, r.fault(r.place.amount, err.Error())
	}
	row.Amount = money.Amount{Minor: minor, Currency: currency}
	if at := r.place.state; at >= 0 {
		row.State = strings.TrimSpace(record[at])
		moved, known := r.moved[strings.ToLower(row.State)]
		if !known {
			return Row{}, r.fault(at, fmt.Sprintf("%q is neither settled nor failed; name it in the mapping", row.State))
		}
		row.Moved = moved
	}
	return row, nil
}

func (r *Reader) fault(field int, problem string) error {
	line, column := r.csv.FieldPos(field)
	return &FileError{Line: line, Column: column, Name: r.columns[field], Problem: problem}
}

// readAhead is what csv.Reader reads beyond a record.
const readAhead = 4096

// limited bounds what csv.Reader may read for one record, whose quoted fields
// may have lines without end, and the file.
type limited struct {
	source     io.Reader
	read, most int64
	size       int64 // most of the file: MaxSize, but in tests
}

func (l *limited) Read(p []byte) (int, error) {
	room := min(l.most, l.size) - l.read
	if room <= 0 {
		probe := make([]byte, 1)
		if n, err := l.source.Read(probe); n == 0 && err != nil {
			return 0, err
		}
		if l.read >= l.size {
			return 0, &FileError{Problem: fmt.Sprintf("is larger than %d bytes", l.size)}
		}
		return 0, &FileError{Problem: fmt.Sprintf("has a row of more than %d bytes", MaxRecord)}
	}
	n, err := l.source.Read(p[:min(int64(len(p)), room)])
	l.read += int64(n)
	return n, err
}
