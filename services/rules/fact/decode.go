package fact

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of one fact.
const (
	MaxBytes    = 1 << 20
	MaxElements = 10_000 // of all lists together
)

// Errors of Decode.
var (
	ErrMalformed = errors.New("fact: malformed")
	ErrTooLarge  = errors.New("fact: too large")
)

// Record holds the slots of one fact: first those of the root scope, then, for
// each element of a list, a link (N is the index of the next element's link,
// or 0) and the slots of its scope. A list's slot has the index of the link of
// its first element in the high half of N, of its last in the low half.
type Record struct {
	Slots    []Slot
	elements int
}

// First returns the index of the first element's link of a list, 0 for none.
func (s *Slot) First() int { return int(s.N >> 32) }

// Reset empties the record and lets go of the bytes it was decoded from.
func (r *Record) Reset() {
	clear(r.Slots)
	r.Slots = r.Slots[:0]
	r.elements = 0
}

// Decode fills the record from a fact's wire bytes. Strings in the record
// share their memory: data must not change while the record is in use.
func (l *Layout) Decode(data []byte, r *Record) error {
	r.Slots = append(r.Slots[:0], l.root.template...)
	if len(r.Slots) == 0 {
		r.Slots = append(r.Slots, Slot{})
	}
	r.elements = 0
	if len(data) > MaxBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(data), MaxBytes)
	}
	return r.message(l.root.message, 0, data)
}

// message decodes into the slots that begin at base.
func (r *Record) message(m *message, base int, data []byte) error {
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return malformed(m, n)
		}
		data = data[n:]
		f := m.find(int32(number))
		if f == nil {
			if n = protowire.ConsumeFieldValue(number, wire, data); n < 0 {
				return malformed(m, n)
			}
			data = data[n:]
			continue
		}
		n, err := r.field(f, base, wire, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func malformed(m *message, code int) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, m.desc.FullName(), protowire.ParseError(code))
}

// field decodes one occurrence of f and returns how many bytes it took. A
// field of another wire type than declared is passed over, as in protobuf.
func (r *Record) field(f *field, base int, wire protowire.Type, data []byte) (int, error) {
	number := f.desc.Number()
	packed := f.list && wire == protowire.BytesType && wireType(f.desc.Kind()) != protowire.BytesType
	if wire != wireType(f.desc.Kind()) && !packed {
		n := protowire.ConsumeFieldValue(number, wire, data)
		if n < 0 {
			return 0, f.malformed(n)
		}
		return n, nil
	}
	for _, slot := range f.clears {
		r.Slots[base+slot] = Slot{}
	}
	if wire != protowire.BytesType {
		value, n := scalar(wire, data)
		if n < 0 {
			return 0, f.malformed(n)
		}
		return n, r.number(f, base, value)
	}
	value, n := protowire.ConsumeBytes(data)
	if n < 0 {
		return 0, f.malformed(n)
	}
	switch {
	case packed:
		return n, r.packed(f, base, value)
	case f.list:
		return n, r.element(f, base, value)
	case f.kind == Message:
		for _, slot := range f.sub.defaults {
			r.Slots[base+slot].OK = true
		}
		if f.slot >= 0 {
			r.Slots[base+f.slot].OK = true
		}
		return n, r.message(f.sub, base, value)
	case f.slot < 0:
		return n, nil
	}
	return n, f.value(&r.Slots[base+f.slot], value)
}

func (f *field) malformed(code int) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, f.desc.FullName(), protowire.ParseError(code))
}

// scalar consumes a number of any wire type but bytes.
func scalar(wire protowire.Type, data []byte) (uint64, int) {
	switch wire {
	case protowire.VarintType:
		return protowire.ConsumeVarint(data)
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(data)
		return uint64(v), n
	default:
		return protowire.ConsumeFixed64(data)
	}
}

// number stores a number in the field's slot or appends it to its list.
func (r *Record) number(f *field, base int, raw uint64) error {
	if f.list {
		at, err := r.push(f, base)
		if err != nil || at == 0 {
			return err
		}
		f.store(&r.Slots[at+1], raw, true)
		return nil
	}
	if f.slot >= 0 {
		f.store(&r.Slots[base+f.slot], raw, f.explicit)
	}
	return nil
}

// store converts a number from the wire. NaN and numbers above int64 are
// missing.
func (f *field) store(slot *Slot, raw uint64, explicit bool) {
	*slot = Slot{OK: true}
	switch f.desc.Kind() {
	case protoreflect.BoolKind:
		slot.N = int64(min(raw, 1))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		slot.N = int64(int32(raw))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		slot.N = int64(uint32(raw))
	case protoreflect.Sint32Kind:
		slot.N = int64(int32(protowire.DecodeZigZag(raw & math.MaxUint32)))
	case protoreflect.Sint64Kind:
		slot.N = protowire.DecodeZigZag(raw)
	case protoreflect.FloatKind:
		slot.N = int64(math.Float64bits(float64(math.Float32frombits(uint32(raw)))))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if raw > math.MaxInt64 {
			*slot = Slot{}
			return
		}
		slot.N = int64(raw)
	default:
		slot.N = int64(raw)
	}
	switch {
	case f.kind == Float && math.IsNaN(math.Float64frombits(uint64(slot.N))):
		*slot = Slot{}
	case !explicit && slot.N == 0 && (f.kind == Enum || f.kind == Time):
		slot.OK = false
	}
}

func (r *Record) packed(f *field, base int, data []byte) error {
	wire := wireType(f.desc.Kind())
	for len(data) > 0 {
		value, n := scalar(wire, data)
		if n < 0 {
			return f.malformed(n)
		}
		if err := r.number(f, base, value); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// element appends a string or message to the field's list.
func (r *Record) element(f *field, base int, data []byte) error {
	at, err := r.push(f, base)
	if err != nil || at == 0 {
		return err
	}
	if f.kind == Message {
		return r.message(f.elem.message, at+1, data)
	}
	r.Slots[at+1] = Slot{}
	if err := f.value(&r.Slots[at+1], data); err != nil {
		return err
	}
	r.Slots[at+1].OK = r.Slots[at+1].OK || f.kind == String
	return nil
}

// push links a new element to the field's list and returns its index, or 0
// when no rule reads the list.
func (r *Record) push(f *field, base int) (int, error) {
	if f.slot < 0 {
		return 0, nil
	}
	if r.elements++; r.elements > MaxElements {
		return 0, fmt.Errorf("%w: more than %d list elements", ErrTooLarge, MaxElements)
	}
	at := len(r.Slots)
	r.Slots = append(r.Slots, Slot{})
	r.Slots = append(r.Slots, f.elem.template...)
	list := &r.Slots[base+f.slot]
	if list.N == 0 {
		list.N = int64(at) << 32
	} else {
		r.Slots[int32(list.N)].N = int64(at)
	}
	list.N = list.N&^math.MaxUint32 | int64(at)
	list.OK = true
	return at, nil
}

// value decodes a string, money, time or duration from its bytes.
func (f *field) value(slot *Slot, data []byte) error {
	switch f.kind {
	case String:
		if !utf8.Valid(data) {
			return fmt.Errorf("%w: %s is not valid UTF-8", ErrMalformed, f.desc.FullName())
		}
		*slot = Slot{S: unsafe.String(unsafe.SliceData(data), len(data)), OK: f.explicit || len(data) > 0}
		return nil
	case Money:
		return f.money(slot, data)
	case Time, Duration:
		return f.instant(slot, data)
	default:
		return nil
	}
}

// money merges an occurrence of a money message into the slot.
func (f *field) money(slot *Slot, data []byte) error {
	slot.OK = true
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return f.malformed(n)
		}
		data = data[n:]
		switch {
		case number == f.minor && wire == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(data)
			slot.N = int64(v)
		case number == f.currency && wire == protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(data)
			if n >= 0 && !utf8.Valid(v) {
				return fmt.Errorf("%w: %s is not valid UTF-8", ErrMalformed, f.desc.FullName())
			}
			slot.S = unsafe.String(unsafe.SliceData(v), len(v))
		default:
			n = protowire.ConsumeFieldValue(number, wire, data)
		}
		if n < 0 {
			return f.malformed(n)
		}
		data = data[n:]
	}
	return nil
}

// instant reads google.protobuf.Timestamp or Duration as microseconds; one out
// of range is missing. A second occurrence replaces the first.
func (f *field) instant(slot *Slot, data []byte) error {
	var seconds, nanos int64
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return f.malformed(n)
		}
		data = data[n:]
		if wire == protowire.VarintType && (number == 1 || number == 2) {
			var v uint64
			if v, n = protowire.ConsumeVarint(data); number == 1 {
				seconds = int64(v)
			} else {
				nanos = int64(int32(v))
			}
		} else {
			n = protowire.ConsumeFieldValue(number, wire, data)
		}
		if n < 0 {
			return f.malformed(n)
		}
		data = data[n:]
	}
	const limit = math.MaxInt64/1_000_000 - 1
	if seconds > limit || seconds < -limit || nanos >= 1e9 || nanos <= -1e9 {
		*slot = Slot{}
		return nil
	}
	*slot = Slot{N: seconds*1_000_000 + nanos/1_000, OK: true}
	return nil
}

func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}
