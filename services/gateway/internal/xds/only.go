package xds

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// only refuses a message that has set more than the named fields: what this
// gateway does not understand it must not pass over, since it may be what
// keeps somebody out.
func only(message proto.Message, known string) error {
	m := message.ProtoReflect()
	if !m.IsValid() {
		return nil
	}
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has a field that this gateway does not know", m.Descriptor().Name())
	}
	names := strings.Fields(known)
	var strange []string
	m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(names, string(field.Name())) {
			strange = append(strange, string(field.Name()))
		}
		return true
	})
	if len(strange) == 0 {
		return nil
	}
	slices.Sort(strange)
	return fmt.Errorf("%s: %s is not supported", m.Descriptor().Name(), strings.Join(strange, ", "))
}

// unpack decodes an Any, whose fields must be known.
func unpack(packed *anypb.Any, into proto.Message, known string) error {
	if err := packed.UnmarshalTo(into); err != nil {
		return err
	}
	return only(into, known)
}

// first is the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
