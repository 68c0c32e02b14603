package fact

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxSlots limits how many fields of one scope a program can read.
const MaxSlots = 4096

// lowNumbers bounds the field numbers that are found by index.
const lowNumbers = 256

// Slot is the value of one field. By kind: Bool, Int, Duration, Time and Enum
// in N; Float in N by math.Float64bits; String in S; Money minor units in N
// and currency in S; List in N, see Record. OK is false for a missing field,
// then N and S are zero.
type Slot struct {
	N  int64
	S  string
	OK bool
}

// Layout assigns slots to fields and decodes them. It is built by Slot and
// Elem, then sealed.
type Layout struct {
	schema *Schema
	root   *Scope
}

// Scope is a set of slots: those of the fact or of an element of a list.
type Scope struct {
	message  *message // nil for a list of values; those are in slot 0
	template []Slot   // what a new record of this scope holds
}

// message is the plan of one message as it stands at one place in a fact.
type message struct {
	desc     protoreflect.MessageDescriptor
	top      bool // of a scope: present whenever the scope is
	fields   []*field
	byNumber []int16 // index in fields of low field numbers, or -1
	defaults []int   // slots that are zero, not missing, once it is present
}

// field is the plan of one field. slot is -1 if only its parts are read.
type field struct {
	desc     protoreflect.FieldDescriptor
	kind     Kind
	list     bool
	explicit bool // presence is on the wire: zero is a value
	slot     int
	sub      *message // of Message
	elem     *Scope   // of List
	clears   []int    // slots of the other members of its oneof

	minor, currency protowire.Number // of Money
}

// NewLayout returns a layout without slots.
func NewLayout(schema *Schema) *Layout {
	return &Layout{schema, &Scope{message: &message{desc: schema.desc, top: true}}}
}

// Root is the scope of the fact itself.
func (l *Layout) Root() *Scope { return l.root }

// Width is the number of slots.
func (s *Scope) Width() int { return len(s.template) }

// Extra adds a slot that no field fills.
func (s *Scope) Extra() int {
	s.template = append(s.template, Slot{})
	return len(s.template) - 1
}

// Slot returns the slot of the field that path leads to from scope. All but
// the last of path are messages. The same path has the same slot.
func (l *Layout) Slot(scope *Scope, path ...protoreflect.FieldDescriptor) (int, error) {
	f := l.walk(scope, path)
	if f.slot >= 0 {
		return f.slot, nil
	}
	if len(scope.template) == MaxSlots {
		return 0, fmt.Errorf("more than %d fields are read", MaxSlots)
	}
	f.slot = scope.Extra()
	return f.slot, nil
}

// Elem returns the scope of the elements of the list that path leads to. Its
// slot holds the list.
func (l *Layout) Elem(scope *Scope, path ...protoreflect.FieldDescriptor) *Scope {
	return l.walk(scope, path).elem
}

func (l *Layout) walk(scope *Scope, path []protoreflect.FieldDescriptor) *field {
	m := scope.message
	var f *field
	for _, desc := range path {
		f = l.field(m, desc)
		m = f.sub
	}
	return f
}

func (l *Layout) field(m *message, desc protoreflect.FieldDescriptor) *field {
	for _, f := range m.fields {
		if f.desc.Number() == desc.Number() {
			return f
		}
	}
	f := &field{desc: desc, kind: l.schema.ElemKind(desc), list: desc.IsList(), explicit: desc.HasPresence(), slot: -1}
	switch {
	case f.list && f.kind == Message:
		f.elem = &Scope{message: &message{desc: desc.Message(), top: true}}
	case f.list:
		f.elem = &Scope{template: []Slot{{OK: true}}}
	case f.kind == Message:
		f.sub = &message{desc: desc.Message()}
	}
	if f.kind == Money {
		minor, currency := moneyFields(desc.Message())
		f.minor, f.currency = minor.Number(), currency.Number()
	}
	m.fields = append(m.fields, f)
	return f
}

// zero reports whether the field is zero rather than missing when its message
// is present and it is not on the wire.
func (f *field) zero() bool {
	if f.list {
		return true
	}
	switch f.kind {
	case Bool, Int, Float, Duration:
		return !f.explicit
	default:
		return false
	}
}

// Seal ends the building. Afterwards the layout must not be changed.
func (l *Layout) Seal() { l.root.seal() }

func (s *Scope) seal() {
	if s.message != nil {
		s.message.seal()
		for _, slot := range s.message.defaults {
			s.template[slot].OK = true
		}
	}
}

func (m *message) seal() {
	for i, f := range m.fields {
		m.index(i)
		if f.slot >= 0 && f.zero() {
			m.defaults = append(m.defaults, f.slot)
		}
		if f.elem != nil {
			f.elem.seal()
		}
		if f.sub != nil {
			f.sub.seal()
		}
	}
	m.sealOneofs()
}

// index makes field i be found by its number.
func (m *message) index(i int) {
	number := int(m.fields[i].desc.Number())
	if number >= lowNumbers {
		return
	}
	for len(m.byNumber) <= number {
		m.byNumber = append(m.byNumber, -1)
	}
	m.byNumber[number] = int16(i)
}

// sealOneofs lets each member of a oneof clear the others. A member that no
// rule reads gets a field too, for it ends the presence of those that are.
func (m *message) sealOneofs() {
	for i := range m.desc.Oneofs().Len() {
		oneof := m.desc.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		var read []*field
		for _, f := range m.fields {
			if f.desc.ContainingOneof() == oneof {
				read = append(read, f)
			}
		}
		if len(read) > 0 {
			m.clearOthers(oneof, read)
		}
	}
}

func (m *message) clearOthers(oneof protoreflect.OneofDescriptor, read []*field) {
	for j := range oneof.Fields().Len() {
		desc := oneof.Fields().Get(j)
		var member *field
		for _, f := range read {
			if f.desc == desc {
				member = f
			}
		}
		if member == nil {
			member = &field{desc: desc, kind: Invalid, slot: -1}
			m.fields = append(m.fields, member)
			m.index(len(m.fields) - 1)
		}
		for _, f := range read {
			if f.desc != desc {
				member.clears = append(member.clears, f.slots()...)
			}
		}
	}
}

// slots lists the slots of a field and of what is within it.
func (f *field) slots() []int {
	var all []int
	if f.slot >= 0 {
		all = append(all, f.slot)
	}
	if f.sub != nil {
		for _, inner := range f.sub.fields {
			all = append(all, inner.slots()...)
		}
	}
	return all
}

func (m *message) find(number int32) *field {
	if int(number) < len(m.byNumber) {
		if i := m.byNumber[number]; i >= 0 {
			return m.fields[i]
		}
		return nil
	}
	if number < lowNumbers {
		return nil
	}
	for _, f := range m.fields {
		if int32(f.desc.Number()) == number {
			return f
		}
	}
	return nil
}
