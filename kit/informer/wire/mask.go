package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mask keeps fields of messages and leaves out all others. It is immutable and
// safe for concurrent use.
type Mask struct{ root node }

// node is what is kept of a message. By field number: nil is left out.
type node struct {
	fields []*node
	whole  bool
}

// maxFieldNumber bounds a node's table.
const maxFieldNumber = 1 << 12

// CompileMask returns the mask that keeps what paths name. A path's elements
// are separated by dots; each is a name in the schema, or a field's number:
// "metadata.name", "status.containerStatuses.ready", "status.8.4". Of repeated
// fields all values are kept. What a path ends at is kept whole. On the way
// there a message stays, though it may become empty. All faults are reported
// at once.
func CompileMask(schema Schema, paths ...string) (*Mask, error) {
	m := new(Mask)
	var faults []error
	for _, path := range paths {
		if err := m.root.add(schema, path); err != nil {
			faults = append(faults, fmt.Errorf("mask path %q: %w", path, err))
		}
	}
	if len(paths) == 0 {
		faults = append(faults, errors.New("mask has no paths, and so would keep nothing"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return m, nil
}

func (n *node) add(schema Schema, path string) error {
	for element := range strings.SplitSeq(path, ".") {
		number, err := strconv.Atoi(element)
		field, named := schema[element]
		switch {
		case named:
			number = field.Number
		case err == nil:
			field = schema.byNumber(number)
		case schema == nil:
			return fmt.Errorf("there are no names at %q: write the field's number", element)
		default:
			return fmt.Errorf("there is no field %q", element)
		}
		if number < 1 || number > maxFieldNumber {
			return fmt.Errorf("field number %d is not within 1 and %d", number, maxFieldNumber)
		}
		if number >= len(n.fields) {
			n.fields = slices.Grow(n.fields, number+1-len(n.fields))[:number+1]
		}
		if n.fields[number] == nil {
			n.fields[number] = new(node)
		}
		n, schema = n.fields[number], field.Message
	}
	n.whole = true
	return nil
}

func (s Schema) byNumber(number int) Field {
	for _, field := range s {
		if field.Number == number {
			return field
		}
	}
	return Field{}
}

// Append appends to to what the mask keeps of the message raw.
func (m *Mask) Append(to, raw []byte) ([]byte, error) { return m.root.append(to, raw) }

func (n *node) append(to, raw []byte) ([]byte, error) {
	kept := 0 // raw[kept:at] is to be copied, in one piece
	for at := 0; at < len(raw); {
		size, number, kind, err := tag(raw[at:])
		if err != nil {
			return to, err
		}
		from, end, _, err := span(raw[at+size:], number, kind, 0)
		if err != nil {
			return to, err
		}
		next := at + size + end
		var field *node
		if number < len(n.fields) {
			field = n.fields[number]
		}
		if field != nil && field.whole {
			at = next
			continue
		}
		to = append(to, raw[kept:at]...)
		if field != nil {
			if kind != Bytes {
				return to, fmt.Errorf("%w: field %d is no message", ErrMalformed, number)
			}
			if to, err = field.nested(to, raw[at:at+size], raw[at+size+from:next]); err != nil {
				return to, err
			}
		}
		at, kept = next, next
	}
	return append(to, raw[kept:]...), nil
}

// nested appends what is kept of a field that is a message. Its length is
// known afterwards only: as many bytes as the whole length took are left for
// it, which decoders accept, so that nothing is moved.
func (n *node) nested(to, tag, raw []byte) ([]byte, error) {
	to = append(to, tag...)
	at := len(to)
	for length := len(raw); ; length >>= 7 {
		if to = append(to, 0); length < 0x80 {
			break
		}
	}
	from := len(to)
	to, err := n.append(to, raw)
	if err != nil {
		return to, err
	}
	length := len(to) - from
	for ; at < from-1; at, length = at+1, length>>7 {
		to[at] = byte(length) | 0x80
	}
	to[at] = byte(length)
	return to, nil
}
