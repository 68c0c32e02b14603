package schema

import (
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxKnown bounds the fields and messages whose rules are kept. Schemas may come and go
// while the process runs; those beyond are protovalidate's.
const maxKnown = 1 << 16

// plain is a protovalidate.Filter that leaves out what plainly holds: fields,
// and the rules of a message as a whole.
type plain struct {
	rules sync.Map // of protoreflect.Descriptor to rule
	known atomic.Int64
}

// ShouldValidate implements protovalidate.Filter.
func (p *plain) ShouldValidate(message protoreflect.Message, of protoreflect.Descriptor) bool {
	switch of := of.(type) {
	case protoreflect.FieldDescriptor:
		if of.Cardinality() != protoreflect.Repeated && of.Kind() != protoreflect.MessageKind {
			return true // there is nothing to be spared
		}
		r := p.of(of)
		return r == nil || !r.holds(message.Get(of))
	case protoreflect.MessageDescriptor:
		r := p.of(of)
		return r == nil || !r.holds(protoreflect.ValueOfMessage(message))
	}
	return true
}

// of is the rule of a field or a message, nil where it is not known here.
func (p *plain) of(what protoreflect.Descriptor) rule {
	if found, known := p.rules.Load(what); known {
		r, _ := found.(rule)
		return r
	}
	if p.known.Load() >= maxKnown {
		return nil
	}
	var r rule
	switch what := what.(type) {
	case protoreflect.FieldDescriptor:
		r = ruleOf(what)
	case protoreflect.MessageDescriptor:
		r = someOf(what)
	}
	if _, known := p.rules.LoadOrStore(what, r); !known {
		p.known.Add(1)
	}
	return r
}
