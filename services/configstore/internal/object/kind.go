package object

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/schema"
)

// Kind is a registered type of object.
type Kind struct {
	Name    string
	Message protoreflect.FullName

	encoded []byte // the FileDescriptorSet
	message protoreflect.MessageType
	secret  bool // its schema marks fields by debug_redact
}

// Descriptors returns what the kind was registered with.
func (k *Kind) Descriptors() (*descriptorpb.FileDescriptorSet, error) {
	set := new(descriptorpb.FileDescriptorSet)
	return set, proto.Unmarshal(k.encoded, set)
}

// Same reports whether both are registered by the same descriptors.
func (k *Kind) Same(other *Kind) bool {
	return k.Name == other.Name && k.Message == other.Message && bytes.Equal(k.encoded, other.encoded)
}

// Kinds are the kinds that are registered.
type Kinds struct {
	now func() time.Time

	mu    sync.RWMutex
	kinds map[string]*Kind
	files filePool
}

// NewKinds returns an empty set. Certificates are checked against the clock.
func NewKinds() *Kinds {
	return &Kinds{now: time.Now, kinds: make(map[string]*Kind), files: newFilePool()}
}

// Prepare builds a kind from descriptors that hold the message's file and all
// that it imports. It is not registered yet.
func (k *Kinds) Prepare(name, message string, set *descriptorpb.FileDescriptorSet) (*Kind, error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return nil, Faults{faultf(ErrInvalid, "kind.descriptors", "%v", err)}
	}
	if len(encoded) > MaxDescriptorBytes {
		return nil, Faults{faultf(ErrTooLarge, "kind.descriptors", "%d bytes, at most %d", len(encoded), MaxDescriptorBytes)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.kinds[name]; !known && len(k.kinds) >= MaxKinds {
		return nil, Faults{faultf(ErrTooLarge, "kind.name", "there are %d kinds already", MaxKinds)}
	}
	messageType, fault := k.files.messageType(protoreflect.FullName(message), set)
	if fault != nil {
		return nil, Faults{fault}
	}
	return &Kind{
		Name: name, Message: protoreflect.FullName(message),
		encoded: encoded, message: messageType,
		secret: hasMarks(messageType.Descriptor(), map[protoreflect.FullName]bool{}),
	}, nil
}

// Register makes a prepared kind known. One of the same name is replaced where
// every object of the old one is readable as one of the new.
func (k *Kinds) Register(kind *Kind) error {
	if err := k.Accepts(kind); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kinds[kind.Name] = kind
	return nil
}

// Accepts tells whether Register would.
func (k *Kinds) Accepts(kind *Kind) error {
	old, found := k.Get(kind.Name)
	if !found {
		return nil
	}
	return compatible(old.message.Descriptor(), kind.message.Descriptor()).under("kind.descriptors").Err()
}

// Get returns a kind by name.
func (k *Kinds) Get(name string) (*Kind, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	kind, found := k.kinds[name]
	return kind, found
}

// List returns the kinds, ordered by name.
func (k *Kinds) List() []*Kind {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.SortedFunc(maps.Values(k.kinds), func(a, b *Kind) int { return cmp.Compare(a.Name, b.Name) })
}

// Check decodes the spec of an object and tells what is wrong with it, with
// paths below path.
func (k *Kinds) Check(kindName string, spec *anypb.Any, path string) (proto.Message, Faults) {
	kind, found := k.Get(kindName)
	if !found {
		return nil, Faults{faultf(ErrUnknownKind, path, "kind %q is not registered", kindName)}
	}
	if size := len(spec.GetValue()); size > MaxSpecBytes {
		return nil, Faults{faultf(ErrTooLarge, path, "%d bytes, at most %d", size, MaxSpecBytes)}
	}
	if name := spec.MessageName(); name != kind.Message {
		return nil, Faults{faultf(ErrInvalid, path, "is %q, but objects of kind %s are %s", name, kind.Name, kind.Message)}
	}
	message := kind.message.New()
	if err := proto.Unmarshal(spec.GetValue(), message.Interface()); err != nil {
		return nil, Faults{faultf(ErrInvalid, path, "is no %s in wire format: %v", kind.Message, err)}
	}
	faults := unknownFields(message, "")
	faults = append(faults, broken(message.Interface())...)
	if kind.secret {
		faults = append(faults, stands(message)...)
	}
	faults = append(faults, semantic(message.Interface(), k.now())...)
	return message.Interface(), faults.under(path)
}

// broken tells which of the schema's rules the message breaks.
func broken(message proto.Message) Faults {
	err := schema.Validate(message)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return Faults{faultf(ErrInvalid, "", "%v", err)}
	}
	faults := make(Faults, len(invalid.Violations))
	for n, violation := range invalid.Violations {
		faults[n] = &Fault{
			Path:    protovalidate.FieldPathString(violation.Proto.GetField()),
			Message: violation.Proto.GetMessage(),
			Rule:    violation.Proto.GetRuleId(),
			Of:      ErrInvalid,
		}
	}
	return faults
}

// unknownFields finds fields that the schema does not have, at any depth, and
// durations that are none: rules compare those as if they were.
func unknownFields(message protoreflect.Message, path string) Faults {
	var faults Faults
	if message.Descriptor().FullName() == "google.protobuf.Duration" && !isDuration(message) {
		faults = append(faults, faultf(ErrInvalid, path, "is no duration: seconds and nanos are out of range or of different signs"))
	}
	for rest := message.GetUnknown(); len(rest) > 0; {
		number, size := consumeField(rest)
		if size <= 0 {
			break
		}
		at := fmt.Sprintf("%s[%d]", path, number)
		faults = append(faults, faultf(ErrInvalid, at, "%s has no field %d", message.Descriptor().FullName(), number))
		rest = rest[size:]
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		at := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
					faults = append(faults, unknownFields(value.Message(), fmt.Sprintf("%s[%q]", at, key.String()))...)
					return true
				})
			}
		case field.IsList():
			for n := range value.List().Len() {
				faults = append(faults, unknownFields(value.List().Get(n).Message(), fmt.Sprintf("%s[%d]", at, n))...)
			}
		default:
			faults = append(faults, unknownFields(value.Message(), at)...)
		}
		return true
	})
	return faults
}

func isDuration(message protoreflect.Message) bool {
	fields := message.Descriptor().Fields()
	seconds, nanos := fields.ByName("seconds"), fields.ByName("nanos")
	if seconds == nil || nanos == nil {
		return false
	}
	d := &durationpb.Duration{Seconds: message.Get(seconds).Int(), Nanos: int32(message.Get(nanos).Int())}
	return d.IsValid()
}
