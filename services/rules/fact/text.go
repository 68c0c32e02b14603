package fact

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Text decodes facts in protobuf's JSON form straight into the slots of a
// layout. It differs from FromJSON and Decode in one way: of fields that no
// rule reads only the syntax is checked. It is for one goroutine at a time.
type Text struct {
	TextConfig
	layout  *Layout
	root    *textMessage
	slow    bool   // the message has required fields, or too many
	found   string // value of Extra
	scratch []byte
}

// TextConfig widens what a Text accepts. Its zero value is protobuf's own rule:
// unknown fields are errors.
type TextConfig struct {
	// Extra names a further string field at the top that the message need not
	// have, whose value Decode returns.
	Extra string
	// IgnoreUnknown passes over fields that the message does not have.
	IgnoreUnknown bool
}

// textMessage is the plan of a message in JSON.
type textMessage struct {
	plan   *message // nil: nothing of it is read
	fields []*textField
	named  map[string]*textField
}

type textField struct {
	name   string // in JSON
	number int    // in the message's mask
	oneof  int    // bit of a oneof in the message's mask, or -1
	plan   *field // nil: not read
	sub    *textMessage
	enum   map[string]int64
}

// maxTextFields is how many fields of a message a mask can tell.
const maxTextFields = 240

// NewText returns a decoder for a sealed layout.
func NewText(layout *Layout, config TextConfig) *Text {
	t := &Text{layout: layout, TextConfig: config}
	t.slow = !plain(layout.schema.desc, map[protoreflect.FullName]bool{})
	t.root = newTextMessage(layout.root.message)
	return t
}

// plain reports whether no message within has required fields or too many.
func plain(desc protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[desc.FullName()] {
		return true
	}
	seen[desc.FullName()] = true
	if desc.RequiredNumbers().Len() > 0 || desc.Fields().Len()+desc.Oneofs().Len() > maxTextFields {
		return false
	}
	for i := range desc.Fields().Len() {
		if inner := desc.Fields().Get(i).Message(); inner != nil && !plain(inner, seen) {
			return false
		}
	}
	return true
}

func newTextMessage(plan *message) *textMessage {
	t := &textMessage{plan: plan, named: map[string]*textField{}}
	fields := plan.desc.Fields()
	for i := range fields.Len() {
		desc := fields.Get(i)
		f := &textField{name: desc.JSONName(), number: i, oneof: -1}
		if oneof := desc.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			f.oneof = fields.Len() + oneof.Index()
		}
		if known := plan.find(int32(desc.Number())); known != nil && known.kind != Invalid {
			f.read(known)
		}
		t.fields = append(t.fields, f)
		t.named[string(desc.Name())] = f
	}
	for _, f := range t.fields {
		t.named[f.name] = f
	}
	return t
}

// read makes the plan of a field that rules read.
func (f *textField) read(plan *field) {
	f.plan = plan
	switch {
	case plan.sub != nil:
		f.sub = newTextMessage(plan.sub)
	case plan.elem != nil && plan.elem.message != nil:
		f.sub = newTextMessage(plan.elem.message)
	case plan.kind == Enum:
		f.enum = map[string]int64{}
		values := plan.desc.Enum().Values()
		for i := range values.Len() {
			f.enum[string(values.Get(i).Name())] = int64(values.Get(i).Number())
		}
	}
}

// errUnusual makes protobuf's own decoder look at a text: it is wrong, or
// right in a way that is rare.
var errUnusual = errors.New("fact: unusual JSON")

// Decode fills the record from a fact, and returns the value of the extra
// field. Strings in the record share memory with text and with the decoder:
// they hold until text changes or the next Decode.
func (t *Text) Decode(text []byte, r *Record) (extra string, err error) {
	t.scratch, t.found = t.scratch[:0], ""
	if len(text) > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(text), MaxBytes)
	}
	if !t.slow {
		t.layout.reset(r)
		reader := textReader{text: text, of: t}
		if err = reader.message(t.root, r, 0, true); err == nil {
			err = reader.end()
		}
		if !errors.Is(err, errUnusual) {
			return t.found, err
		}
	}
	wire, err := t.wire(text)
	if err != nil {
		return "", err
	}
	return t.found, t.layout.Decode(wire, r)
}

// wire is FromJSON, but for what TextConfig allows.
func (t *Text) wire(text []byte) ([]byte, error) {
	if !t.IgnoreUnknown && (t.Extra == "" || !bytes.Contains(text, []byte(t.Extra))) {
		return t.layout.schema.FromJSON(text)
	}
	message := dynamicpb.NewMessage(t.layout.schema.desc)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, message); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return data, nil
}

// reset empties a record as Decode begins.
func (l *Layout) reset(r *Record) {
	r.Slots = append(r.Slots[:0], l.root.template...)
	if len(r.Slots) == 0 {
		r.Slots = append(r.Slots, Slot{})
	}
	r.elements = 0
}
