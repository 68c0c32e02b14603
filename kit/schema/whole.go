package schema

import (
	"slices"
	"sync"
	"sync/atomic"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// whole is every rule of a type of messages and of the messages in it. One that
// holds by it is spared protovalidate altogether.
type whole struct {
	parts []part
	self  rule // of the message itself; nil: none
}

// part is one field of a whole.
type part struct {
	field    protoreflect.FieldDescriptor
	required bool   // it is to be set
	presence bool   // it is looked at only where it is set
	rule     rule   // of its value; nil: none
	inner    *whole // of the message or messages in it; nil: none
}

// wholes are those of the types seen, at most maxKnown.
type wholes struct {
	all   sync.Map // of protoreflect.MessageDescriptor to *whole, nil where a rule is not known here
	known atomic.Int64
}

// holds tells that a message plainly holds.
func (w *wholes) holds(message protoreflect.Message) bool {
	found, known := w.all.Load(message.Descriptor())
	if !known {
		if w.known.Load() >= maxKnown {
			return false
		}
		found = wholeOf(message.Descriptor(), nil)
		if _, known := w.all.LoadOrStore(message.Descriptor(), found); !known {
			w.known.Add(1)
		}
	}
	of, _ := found.(*whole)
	return of != nil && of.holds(message)
}

// wholeOf is nil where a rule is not known here, or a message of the type may be in
// another and there are rules in it: around are the types that it is in.
func wholeOf(message protoreflect.MessageDescriptor, around []protoreflect.FullName) *whole {
	if slices.Contains(around, message.FullName()) {
		if free(message, make(map[protoreflect.FullName]bool)) {
			return new(whole)
		}
		return nil
	}
	around = append(around, message.FullName())
	w := new(whole)
	if rules, err := protovalidate.ResolveMessageRules(message); err != nil {
		return nil
	} else if rules != nil {
		if w.self = someOf(message); w.self == nil {
			return nil
		}
	}
	for n := range message.Oneofs().Len() {
		if rules, err := protovalidate.ResolveOneofRules(message.Oneofs().Get(n)); err != nil || rules != nil {
			return nil
		}
	}
	for n := range message.Fields().Len() {
		p, known := partOf(message.Fields().Get(n), around)
		if !known {
			return nil
		}
		if p.required || p.rule != nil || p.inner != nil {
			w.parts = append(w.parts, p)
		}
	}
	return w
}

// free tells that neither a type of messages nor what may be in one has a rule, such
// as google.protobuf.Value, which may be in itself; seen are those that are looked at.
func free(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return true
	}
	seen[message.FullName()] = true
	if rules, err := protovalidate.ResolveMessageRules(message); err != nil || rules != nil {
		return false
	}
	for n := range message.Oneofs().Len() {
		if rules, err := protovalidate.ResolveOneofRules(message.Oneofs().Get(n)); err != nil || rules != nil {
			return false
		}
	}
	for n := range message.Fields().Len() {
		field := message.Fields().Get(n)
		if rules, err := protovalidate.ResolveFieldRules(field); err != nil || rules != nil || field.Kind() == protoreflect.GroupKind {
			return false
		}
		if inner := field.Message(); inner != nil && !free(inner, seen) { // a map's is its entry
			return false
		}
	}
	return true
}

func partOf(field protoreflect.FieldDescriptor, around []protoreflect.FullName) (p part, known bool) {
	p.field, p.presence = field, field.HasPresence()
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil || field.Kind() == protoreflect.GroupKind {
		return p, false
	}
	if rules != nil && rules.GetRequired() {
		p.required = true
		rules, _ = proto.Clone(rules).(*validate.FieldRules)
		rules.ClearRequired()
	}
	if rules != nil && !only(rules) {
		if p.rule = valueRuleOf(field, rules); p.rule == nil {
			return p, false
		}
	}
	inner := field.Message()
	if field.IsMap() {
		inner = field.MapValue().Message()
	}
	if inner != nil {
		if p.inner = wholeOf(inner, around); p.inner == nil {
			return p, false
		}
		if len(p.inner.parts) == 0 && p.inner.self == nil {
			p.inner = nil
		}
	}
	return p, p.inner == nil || !field.IsMap() // maps of messages with rules are protovalidate's
}

func (w *whole) holds(message protoreflect.Message) bool {
	for n := range w.parts {
		if !w.parts[n].holds(message) {
			return false
		}
	}
	return w.self == nil || w.self.holds(protoreflect.ValueOfMessage(message))
}

func (p *part) holds(message protoreflect.Message) bool {
	if (p.required || p.presence) && !message.Has(p.field) {
		return !p.required
	}
	value := message.Get(p.field)
	if p.rule != nil && !p.rule.holds(value) {
		return false
	}
	if p.inner == nil {
		return true
	}
	if !p.field.IsList() {
		return p.inner.holds(value.Message())
	}
	list := value.List()
	for n := range list.Len() {
		if !p.inner.holds(list.Get(n).Message()) {
			return false
		}
	}
	return true
}
