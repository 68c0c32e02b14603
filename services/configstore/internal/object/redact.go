package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// redacted begins what stands for material that is not shown.
const redacted = "redacted, SHA-256 "

// redactedDigits of the digest are shown: enough to see a change.
const redactedDigits = 16

// public are fields of messages that are marked as a whole and hold what
// everybody may see here.
var public = map[protoreflect.FullName]bool{
	"backlot.gateway.v1.Certificate.chain": true,
	"backlot.gateway.v1.Secret.authority":  true,
}

// isMarked tells whether a schema marks a field by debug_redact: it, or what is
// in it, must not be seen.
func isMarked(field protoreflect.FieldDescriptor) bool {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	return options.GetDebugRedact()
}

// hasMarks tells whether a message has a marked field at any depth.
func hasMarks(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return false
	}
	seen[message.FullName()] = true
	for n := range message.Fields().Len() {
		field := message.Fields().Get(n)
		if isMarked(field) {
			return true
		}
		inner := field.Message() // of a map's entries too
		if inner != nil && !public[field.FullName()] && hasMarks(inner, seen) {
			return true
		}
	}
	return false
}

// marks goes through the marked values of a message.
type marks struct {
	// see is given each text and bytes that is set, and returns what comes in
	// its place.
	see func(path string, material []byte) []byte
	// clear takes out what is marked and is neither, as numbers.
	clear bool
}

// walk looks at all fields. under tells that the message is in a marked field.
func (w *marks) walk(message protoreflect.Message, path string, under bool) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		hidden := under || isMarked(field)
		switch {
		case public[field.FullName()]:
		case field.IsMap():
			w.walkMap(message, field, at, hidden)
		case field.IsList():
			w.walkList(message, field, at, hidden)
		case isTextual(field):
			if hidden {
				message.Set(field, w.text(field, value, at))
			}
		case field.Message() != nil && (!hidden || !isWellKnown(field.Message())):
			w.walk(value.Message(), at, hidden)
		case hidden && w.clear:
			message.Clear(field)
		}
		return true
	})
}

func (w *marks) walkMap(message protoreflect.Message, field protoreflect.FieldDescriptor, path string, hidden bool) {
	values, entries := field.MapValue(), message.Get(field).Map()
	if hidden && w.clear && !isTextual(values) && (values.Message() == nil || isWellKnown(values.Message())) {
		message.Clear(field)
		return
	}
	var keys []protoreflect.MapKey
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		at, value := fmt.Sprintf("%s[%q]", path, key.String()), entries.Get(key)
		switch {
		case isTextual(values) && hidden:
			entries.Set(key, w.text(values, value, at))
		case values.Message() != nil:
			w.walk(value.Message(), at, hidden)
		}
	}
}

func (w *marks) walkList(message protoreflect.Message, field protoreflect.FieldDescriptor, path string, hidden bool) {
	if hidden && w.clear && !isTextual(field) && (field.Message() == nil || isWellKnown(field.Message())) {
		message.Clear(field)
		return
	}
	list := message.Get(field).List()
	for n := range list.Len() {
		at := fmt.Sprintf("%s[%d]", path, n)
		switch {
		case isTextual(field) && hidden:
			list.Set(n, w.text(field, list.Get(n), at))
		case field.Message() != nil:
			w.walk(list.Get(n).Message(), at, hidden)
		}
	}
}

func (w *marks) text(field protoreflect.FieldDescriptor, value protoreflect.Value, path string) protoreflect.Value {
	if field.Kind() == protoreflect.BytesKind {
		return protoreflect.ValueOfBytes(w.see(path, value.Bytes()))
	}
	return protoreflect.ValueOfString(string(w.see(path, []byte(value.String()))))
}

func isTextual(field protoreflect.FieldDescriptor) bool {
	return field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind
}

// isWellKnown tells of messages whose text has a form of its own.
func isWellKnown(message protoreflect.MessageDescriptor) bool {
	return strings.HasPrefix(string(message.FullName()), "google.protobuf.")
}

// RedactMessage puts digests in place of what the schema marks, so that readers
// see whether it has changed. What is redacted already stays as it is.
func RedactMessage(message proto.Message) {
	(&marks{see: redact, clear: true}).walk(message.ProtoReflect(), "", false)
}

func redact(_ string, material []byte) []byte {
	if len(material) == 0 || bytes.HasPrefix(material, []byte(redacted)) {
		return material
	}
	sum := sha256.Sum256(material)
	return []byte(redacted + hex.EncodeToString(sum[:])[:redactedDigits])
}

// stands finds what only stands for material: somebody wrote back what they
// had read.
func stands(message protoreflect.Message) (faults Faults) {
	look := marks{see: func(path string, material []byte) []byte {
		if bytes.HasPrefix(material, []byte(redacted)) {
			faults = append(faults, faultf(ErrInvalid, path, "is what stands for material that is not shown; give the material itself"))
		}
		return material
	}}
	look.walk(message, "", false)
	return faults
}

// IsSecret tells whether objects of a kind hold what must not be seen. Of an
// unknown kind nothing is known: they do.
func (k *Kinds) IsSecret(kind string) bool {
	found, known := k.Get(kind)
	return !known || found.secret
}

// Redact returns a spec of a kind as readers may see it. One that cannot be
// read is left out.
func (k *Kinds) Redact(kind string, spec *anypb.Any) *anypb.Any {
	found, known := k.Get(kind)
	if known && !found.secret || spec == nil {
		return spec
	}
	hidden := &anypb.Any{TypeUrl: spec.GetTypeUrl()}
	if !known || spec.MessageName() != found.Message {
		return hidden
	}
	message := found.message.New().Interface()
	if err := proto.Unmarshal(spec.GetValue(), message); err != nil {
		return hidden
	}
	RedactMessage(message)
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return hidden
	}
	hidden.Value = value
	return hidden
}
