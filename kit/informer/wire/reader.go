// Package wire reads protobuf messages field by field, and leaves fields out of
// them, without decoding them.
//
//	reader.go  Reader steps through the fields of a message
//	mask.go    Mask keeps the fields that paths name
//	schema.go  Schema tells the numbers of fields' names
//	intern.go  Strings that are met again and again are kept once
//
// It knows no message: a field is a number and a value. What it is given may
// be anything: bytes that are no message are an error, never a panic.
package wire

import (
	"errors"
	"fmt"
)

// ErrMalformed is the error for bytes that are no protobuf message.
var ErrMalformed = errors.New("malformed protobuf message")

// Type is how a field's value is written.
type Type uint8

// The types, by their numbers on the wire.
const (
	Varint  Type = 0
	Fixed64 Type = 1
	Bytes   Type = 2
	start   Type = 3 // of a group
	end     Type = 4
	Fixed32 Type = 5
)

// Reader steps through the fields of one message:
//
//	for r := wire.NewReader(raw); r.Next(); {
//		switch r.Number() {
//		case 1:
//			name = string(r.Bytes())
//		}
//	}
//
// followed by a look at Err. It allocates nothing. Groups are skipped.
type Reader struct {
	rest   []byte
	bytes  []byte
	value  uint64
	number int
	kind   Type
	err    error
}

// NewReader returns a reader of raw, which it does not copy.
func NewReader(raw []byte) Reader { return Reader{rest: raw} }

// Next goes to the next field, and tells whether there is one.
func (r *Reader) Next() bool {
	for r.err == nil && len(r.rest) > 0 {
		if r.err = r.field(); r.err == nil && r.kind != start {
			return true
		}
	}
	r.number, r.bytes, r.value = 0, nil, 0
	return false
}

// Number is the field's.
func (r *Reader) Number() int { return r.number }

// Type is that of the field's value.
func (r *Reader) Type() Type { return r.kind }

// Bytes is the value of a string, bytes or message, which shares the memory of
// what is read; nil of other types.
func (r *Reader) Bytes() []byte { return r.bytes }

// Uint is the value of a number; 0 of other types. A negative int32 or int64
// is converted from it as it is.
func (r *Reader) Uint() uint64 { return r.value }

// Bool is the value of a bool.
func (r *Reader) Bool() bool { return r.value != 0 }

// Message is a reader of the field's value.
func (r *Reader) Message() Reader { return NewReader(r.bytes) }

// Err is what was wrong with the message, which ended Next early; nil if
// nothing was.
func (r *Reader) Err() error { return r.err }

func (r *Reader) field() error {
	size, number, kind, err := tag(r.rest)
	if err != nil {
		return err
	}
	from, to, value, err := span(r.rest[size:], number, kind, 0)
	if err != nil {
		return err
	}
	r.number, r.kind, r.value, r.bytes = number, kind, value, nil
	if kind == Bytes {
		r.bytes = r.rest[size+from : size+to : size+to]
	}
	r.rest = r.rest[size+to:]
	return nil
}

// tag reads a field's number and type; size is how many bytes they take.
func tag(b []byte) (size, number int, kind Type, err error) {
	value, size := uvarint(b)
	if size <= 0 {
		return 0, 0, 0, fmt.Errorf("%w: a tag is cut off", ErrMalformed)
	}
	if number := value >> 3; number == 0 || number > maxNumber {
		return 0, 0, 0, fmt.Errorf("%w: field number %d", ErrMalformed, number)
	}
	return size, int(value >> 3), Type(value & 7), nil
}

const (
	maxNumber = 1<<29 - 1
	// maxGroups bounds groups within groups.
	maxGroups = 32
)

// span is where a value's content begins and ends; of numbers also the value.
func span(b []byte, number int, kind Type, depth int) (from, to int, value uint64, err error) {
	switch kind {
	case Varint:
		if value, to = uvarint(b); to > 0 {
			return 0, to, value, nil
		}
	case Fixed32:
		if len(b) >= 4 {
			return 0, 4, uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24, nil
		}
	case Fixed64:
		if len(b) >= 8 {
			for n := 7; n >= 0; n-- {
				value = value<<8 | uint64(b[n])
			}
			return 0, 8, value, nil
		}
	case Bytes:
		length, size := uvarint(b)
		if size > 0 && length <= uint64(len(b)-size) {
			return size, size + int(length), 0, nil
		}
	case start:
		if to, err = group(b, number, depth); err == nil {
			return 0, to, 0, nil
		}
		return 0, 0, 0, err
	case end: // of no group that began
	}
	return 0, 0, 0, fmt.Errorf("%w: the value of field %d, type %d", ErrMalformed, number, kind)
}

// group is the length of a group's content with its end.
func group(b []byte, number, depth int) (length int, err error) {
	if depth == maxGroups {
		return 0, fmt.Errorf("%w: groups within groups", ErrMalformed)
	}
	for length < len(b) {
		size, inner, kind, err := tag(b[length:])
		if err != nil {
			return 0, err
		}
		length += size
		if kind == end {
			if inner != number {
				break
			}
			return length, nil
		}
		_, to, _, err := span(b[length:], inner, kind, depth+1)
		if err != nil {
			return 0, err
		}
		length += to
	}
	return 0, fmt.Errorf("%w: group %d does not end", ErrMalformed, number)
}

// uvarint reads a number and how many bytes it takes; 0 or less if there is
// none.
func uvarint(b []byte) (value uint64, size int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	for n, c := range b {
		if n == 9 && c > 1 || n > 9 {
			return 0, -1
		}
		value |= uint64(c&0x7f) << (7 * n)
		if c < 0x80 {
			return value, n + 1
		}
	}
	return 0, 0
}
