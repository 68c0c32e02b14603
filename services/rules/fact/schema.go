// Package fact describes facts by a protobuf message and reads them: schema.go
// gives the fields their types, layout.go assigns slots to the fields that a
// program reads, decode.go fills those slots straight from wire bytes, json.go
// turns JSON into wire bytes.
//
// A Schema and a sealed Layout are immutable and safe for concurrent use; a
// Record belongs to one evaluation at a time.
//
// Missing fields. A field with explicit presence (a message, `optional`, a
// member of a oneof) is missing when it was not set. Of the others, strings,
// enums and times are missing when they are zero, since the wire cannot tell
// zero from absent; numbers, bools and durations are zero. Everything within a
// missing message is missing.
package fact

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Kind is the type of a value in the rule language.
type Kind uint8

// The kinds. Invalid marks fields that rules cannot read: bytes and maps.
const (
	Invalid Kind = iota
	Bool
	Int
	Float
	String
	Money
	Duration // microseconds
	Time     // Unix microseconds
	Enum
	List
	Message
)

// String returns the kind's name as messages show it.
func (k Kind) String() string {
	return [...]string{"unreadable", "bool", "int", "decimal", "string", "money", "duration", "time", "enum", "list", "message"}[k]
}

// ErrSchema is wrapped by the errors of New.
var ErrSchema = errors.New("fact: bad schema")

// Config overrides what New infers. Its zero value is the documented default.
type Config struct {
	// Event is what velocity functions count. Default: the message's name in
	// snake case without a final "Fact": PaymentFact is "payment".
	Event string
	// Time is the top-level field that holds the event's time. Default: the
	// first of at, occurred_at and event_time that is a time; if there is
	// none, the clock is used.
	Time string
	// Kinds gives int64 fields, by full name, the kind Int, Time or Duration.
	// Default: Time for `at` and `*_at`, Duration for `*_age` and
	// `*_duration`, all in microseconds, and Int for the rest.
	Kinds map[protoreflect.FullName]Kind
}

// Schema is a type of facts.
type Schema struct {
	desc  protoreflect.MessageDescriptor
	event string
	time  protoreflect.FieldDescriptor // nil: none
	kinds map[protoreflect.FullName]Kind
}

// New makes a schema of the facts that a message describes.
func New(desc protoreflect.MessageDescriptor, config Config) (*Schema, error) {
	if desc == nil {
		return nil, fmt.Errorf("%w: no message descriptor", ErrSchema)
	}
	s := &Schema{desc: desc, event: config.Event, kinds: config.Kinds}
	for name, kind := range config.Kinds {
		if kind != Int && kind != Time && kind != Duration {
			return nil, fmt.Errorf("%w: kind of %s must be int, time or duration", ErrSchema, name)
		}
	}
	if s.event == "" {
		s.event = eventName(string(desc.Name()))
	}
	if config.Time != "" {
		s.time = s.timeField(config.Time)
		if s.time == nil {
			return nil, fmt.Errorf("%w: %s has no time field %q", ErrSchema, desc.FullName(), config.Time)
		}
		return s, nil
	}
	for _, name := range []string{"at", "occurred_at", "event_time"} {
		if s.time = s.timeField(name); s.time != nil {
			break
		}
	}
	return s, nil
}

func (s *Schema) timeField(name string) protoreflect.FieldDescriptor {
	field := s.desc.Fields().ByName(protoreflect.Name(name))
	if field == nil || s.KindOf(field) != Time {
		return nil
	}
	return field
}

func eventName(message string) string {
	var name strings.Builder
	for i, r := range strings.TrimSuffix(message, "Fact") {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

// Name is the full name of the message.
func (s *Schema) Name() string { return string(s.desc.FullName()) }

// Event is the name that velocity functions count facts by.
func (s *Schema) Event() string { return s.event }

// Descriptor is the message.
func (s *Schema) Descriptor() protoreflect.MessageDescriptor { return s.desc }

// Time is the field of the event's time, or nil.
func (s *Schema) Time() protoreflect.FieldDescriptor { return s.time }

// KindOf is the kind of a field: List for a repeated one, see ElemKind.
func (s *Schema) KindOf(field protoreflect.FieldDescriptor) Kind {
	switch {
	case field.IsMap():
		return Invalid
	case field.IsList():
		if s.ElemKind(field) == Invalid {
			return Invalid
		}
		return List
	}
	return s.ElemKind(field)
}

// ElemKind is the kind of a field's value or, of a repeated one, its elements.
func (s *Schema) ElemKind(field protoreflect.FieldDescriptor) Kind {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return Bool
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return Float
	case protoreflect.StringKind:
		return String
	case protoreflect.EnumKind:
		return Enum
	case protoreflect.MessageKind:
		return messageKind(field.Message())
	case protoreflect.BytesKind, protoreflect.GroupKind:
		return Invalid
	default:
	}
	if kind, ok := s.kinds[field.FullName()]; ok {
		return kind
	}
	if name := string(field.Name()); field.Kind() == protoreflect.Int64Kind {
		switch {
		case name == "at", strings.HasSuffix(name, "_at"):
			return Time
		case strings.HasSuffix(name, "_age"), strings.HasSuffix(name, "_duration"):
			return Duration
		}
	}
	return Int
}

// messageKind recognises the messages that are values: times, durations, and
// money, any message with just `int64 minor` and `string currency`.
func messageKind(message protoreflect.MessageDescriptor) Kind {
	switch message.FullName() {
	case "google.protobuf.Timestamp":
		return Time
	case "google.protobuf.Duration":
		return Duration
	}
	if minor, currency := moneyFields(message); minor != nil && currency != nil && message.Fields().Len() == 2 {
		return Money
	}
	return Message
}

func moneyFields(message protoreflect.MessageDescriptor) (minor, currency protoreflect.FieldDescriptor) {
	minor, currency = message.Fields().ByName("minor"), message.Fields().ByName("currency")
	if minor != nil && (minor.Kind() != protoreflect.Int64Kind || minor.IsList()) {
		minor = nil
	}
	if currency != nil && (currency.Kind() != protoreflect.StringKind || currency.IsList()) {
		currency = nil
	}
	return minor, currency
}
