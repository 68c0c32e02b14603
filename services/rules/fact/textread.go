package fact

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unsafe"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// textReader reads one fact. Whatever it does not know to be right is
// errUnusual.
type textReader struct {
	text []byte
	at   int
	of   *Text
}

// next skips white space and returns the next byte, 0 at the end.
func (t *textReader) next() byte {
	for ; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (t *textReader) take(c byte) bool {
	if t.next() != c {
		return false
	}
	t.at++
	return true
}

func (t *textReader) end() error {
	if t.next() != 0 || t.at < len(t.text) {
		return errUnusual
	}
	return nil
}

// members calls member for each member of an object, after its colon.
func (t *textReader) members(member func(name []byte) error) error {
	if !t.take('{') {
		return errUnusual
	}
	if t.take('}') {
		return nil
	}
	for {
		name, err := t.str()
		if err != nil || !t.take(':') {
			return errUnusual
		}
		if err := member(name); err != nil {
			return err
		}
		if t.take('}') {
			return nil
		}
		if !t.take(',') {
			return errUnusual
		}
	}
}

// mask tells which fields and oneofs of a message were met.
type mask [(maxTextFields + 63) / 64]uint64

// meet notes a bit and reports whether it was new.
func (m *mask) meet(bit int) bool {
	old := m[bit/64]
	m[bit/64] |= 1 << (bit % 64)
	return old != m[bit/64]
}

// message reads an object into the slots that begin at base.
func (t *textReader) message(m *textMessage, r *Record, base int, top bool) error {
	var met mask
	expected := 0
	return t.members(func(name []byte) error {
		var f *textField
		if expected < len(m.fields) && m.fields[expected].name == string(name) {
			f = m.fields[expected]
		} else {
			f = m.named[string(name)]
		}
		if top && t.of.Extra != "" && string(name) == t.of.Extra {
			if err := t.further(); err != nil || f == nil {
				return err
			}
		}
		if f == nil && t.of.IgnoreUnknown {
			return t.skip(0)
		}
		if f == nil || !met.meet(f.number) {
			return errUnusual
		}
		expected = f.number + 1
		if t.next() == 'n' {
			return t.word("null")
		}
		if f.oneof >= 0 && !met.meet(f.oneof) {
			return errUnusual
		}
		if f.plan == nil {
			return t.skip(0)
		}
		return t.field(f, r, base)
	})
}

// further reads the field that the message need not have. Where it has it,
// the value is read again.
func (t *textReader) further() error {
	from := t.at
	if t.next() == '"' {
		value, err := t.str()
		if err != nil {
			return err
		}
		t.of.found = string(value)
	} else if err := t.skip(0); err != nil {
		return err
	}
	if t.of.root.named[t.of.Extra] != nil {
		t.at = from
	}
	return nil
}

func (t *textReader) field(f *textField, r *Record, base int) error {
	for _, slot := range f.plan.clears {
		r.Slots[base+slot] = Slot{}
	}
	if f.plan.slot < 0 && f.plan.kind != Message {
		return t.skip(0)
	}
	if !f.plan.list {
		return t.value(f, r, base, f.plan.slot, false)
	}
	if !t.take('[') {
		return errUnusual
	}
	if t.take(']') {
		return nil
	}
	for {
		at, err := r.push(f.plan, base)
		if err != nil {
			return err
		}
		if err := t.value(f, r, at+1, 0, true); err != nil {
			return err
		}
		if t.take(']') {
			return nil
		}
		if !t.take(',') {
			return errUnusual
		}
	}
}

// value reads one value into a slot. An element is present whatever it is.
func (t *textReader) value(f *textField, r *Record, base, slot int, element bool) error {
	plan := f.plan
	if plan.kind == Message {
		return t.nested(f, r, base, element)
	}
	s := &r.Slots[base+slot]
	switch plan.kind {
	case String:
		value, err := t.str()
		if err != nil {
			return err
		}
		*s = Slot{S: unsafe.String(unsafe.SliceData(value), len(value)), OK: element || plan.explicit || len(value) > 0}
		return nil
	case Money:
		return t.money(s)
	case Bool:
		return t.flag(plan, s, element)
	case Enum:
		return t.member(f, s, element)
	case Time, Duration:
		if plan.desc.Kind() == protoreflect.MessageKind {
			return t.instant(plan, s)
		}
	default:
	}
	return t.number(plan, s, element)
}

func (t *textReader) nested(f *textField, r *Record, base int, element bool) error {
	if f.plan.desc.Message().ParentFile().Package() == "google.protobuf" {
		return errUnusual // they have JSON forms of their own
	}
	if element {
		return t.message(f.sub, r, base, false)
	}
	for _, slot := range f.plan.sub.defaults {
		r.Slots[base+slot].OK = true
	}
	if f.plan.slot >= 0 {
		r.Slots[base+f.plan.slot].OK = true
	}
	return t.message(f.sub, r, base, false)
}

func (t *textReader) money(s *Slot) error {
	*s = Slot{OK: true}
	var met mask
	return t.members(func(name []byte) error {
		if len(name) == 0 || !met.meet(int(name[0]&63)) { // minor and currency differ in it
			return errUnusual
		}
		switch {
		case t.next() == 'n':
			return errUnusual
		case string(name) == "minor":
			digits, err := t.digits()
			if err != nil {
				return err
			}
			v, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return errUnusual
			}
			s.N = v
			return nil
		case string(name) == "currency":
			value, err := t.str()
			if err != nil {
				return err
			}
			s.S = unsafe.String(unsafe.SliceData(value), len(value))
			return nil
		}
		return errUnusual
	})
}

func (t *textReader) flag(f *field, s *Slot, element bool) error {
	word, v := "false", uint64(0)
	if t.next() == 't' {
		word, v = "true", 1
	}
	if err := t.word(word); err != nil {
		return err
	}
	f.store(s, v, element || f.explicit)
	return nil
}

func (t *textReader) member(f *textField, s *Slot, element bool) error {
	if t.next() != '"' {
		return t.number(f.plan, s, element)
	}
	name, err := t.str()
	if err != nil {
		return err
	}
	v, ok := f.enum[string(name)]
	if !ok {
		return errUnusual
	}
	f.plan.store(s, uint64(v), element || f.plan.explicit)
	return nil
}

// number reads a number as its field has it on the wire.
func (t *textReader) number(f *field, s *Slot, element bool) error {
	digits, err := t.digits()
	if err != nil {
		return err
	}
	var raw uint64
	switch f.desc.Kind() {
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		width := 64
		if f.desc.Kind() == protoreflect.FloatKind {
			width = 32
		}
		var v float64
		v, err = strconv.ParseFloat(digits, width)
		*s = Slot{N: int64(math.Float64bits(v)), OK: true}
		if err != nil {
			return errUnusual
		}
		return nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		raw, err = strconv.ParseUint(digits, 10, 64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		raw, err = strconv.ParseUint(digits, 10, 32)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		var v int64
		v, err = strconv.ParseInt(digits, 10, 64)
		raw = uint64(v)
	case protoreflect.Sint64Kind:
		var v int64
		v, err = strconv.ParseInt(digits, 10, 64)
		raw = uint64(v<<1) ^ uint64(v>>63)
	case protoreflect.Sint32Kind:
		var v int64
		v, err = strconv.ParseInt(digits, 10, 32)
		raw = uint64(uint32(v<<1) ^ uint32(v>>31))
	default:
		var v int64
		v, err = strconv.ParseInt(digits, 10, 32)
		raw = uint64(v)
	}
	if err != nil {
		return errUnusual
	}
	f.store(s, raw, element || f.explicit)
	return nil
}

// digits takes a number, which may stand in quotes.
func (t *textReader) digits() (string, error) {
	if t.next() == '"' {
		value, err := t.str()
		if err != nil || !isNumber(value) {
			return "", errUnusual
		}
		return unsafe.String(unsafe.SliceData(value), len(value)), nil
	}
	from := t.at
	for t.at < len(t.text) {
		switch c := t.text[t.at]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			t.at++
			continue
		}
		break
	}
	value := t.text[from:t.at]
	if !isNumber(value) {
		return "", errUnusual
	}
	return unsafe.String(unsafe.SliceData(value), len(value)), nil
}

// isNumber tells whether text is a number by JSON's grammar.
func isNumber(text []byte) bool {
	i := 0
	run := func() bool {
		from := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(text) && text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		i++
	} else if !run() {
		return false
	}
	if i < len(text) && text[i] == '.' {
		i++
		if !run() {
			return false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !run() {
			return false
		}
	}
	return i == len(text)
}

// instant reads google.protobuf.Timestamp; durations are left to protobuf.
func (t *textReader) instant(f *field, s *Slot) error {
	if f.kind != Time || t.next() != '"' {
		return errUnusual
	}
	value, err := t.str()
	if err != nil || bytes.IndexByte(value, ',') >= 0 {
		return errUnusual
	}
	if _, fraction, ok := bytes.Cut(value, []byte{'.'}); ok && len(fraction) > len("999999999Z") && fraction[9] >= '0' && fraction[9] <= '9' {
		return errUnusual
	}
	at, err := time.Parse(time.RFC3339Nano, unsafe.String(unsafe.SliceData(value), len(value)))
	if err != nil || at.Year() < 1970 || at.Year() > 9998 {
		return errUnusual
	}
	*s = Slot{N: at.UnixMicro(), OK: true}
	return nil
}

func (t *textReader) word(word string) error {
	t.next()
	if len(t.text)-t.at < len(word) || string(t.text[t.at:t.at+len(word)]) != word {
		return errUnusual
	}
	t.at += len(word)
	return nil
}

// maxTextDepth is how deep values that are passed over may be nested.
const maxTextDepth = 100

// skip passes over a value.
func (t *textReader) skip(depth int) error {
	if depth > maxTextDepth {
		return errUnusual
	}
	switch t.next() {
	case '"':
		_, err := t.str()
		return err
	case '{':
		return t.members(func([]byte) error { return t.skip(depth + 1) })
	case '[':
		t.at++
		if t.take(']') {
			return nil
		}
		for {
			if err := t.skip(depth + 1); err != nil {
				return err
			}
			if t.take(']') {
				return nil
			}
			if !t.take(',') {
				return errUnusual
			}
		}
	case 't':
		return t.word("true")
	case 'f':
		return t.word("false")
	case 'n':
		return t.word("null")
	default:
		_, err := t.digits()
		return err
	}
}
