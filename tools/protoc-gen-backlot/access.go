package main

import (
	"fmt"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	accessOption    protoreflect.FullName = "backlot.options.v1.access"
	principalsField protoreflect.Name     = "principals"
	principalEnum   protoreflect.FullName = "backlot.options.v1.Principal"
)

// serviceOnly is the access of a method that does not set the option.
var serviceOnly = protogen.GoIdent{
	GoName:       "Principal_PRINCIPAL_SERVICE",
	GoImportPath: "github.com/backlot-video/backlot/proto/gen/backlot/options/v1",
}

// accessReader reads the access option from descriptors alone, so that the
// plugin needs no code that it or another plugin generates.
type accessReader struct {
	types  *dynamicpb.Types
	values map[protoreflect.EnumNumber]protogen.GoIdent
}

func newAccessReader(plugin *protogen.Plugin) (*accessReader, error) {
	files := new(protoregistry.Files)
	reader := &accessReader{values: make(map[protoreflect.EnumNumber]protogen.GoIdent)}
	for _, file := range plugin.Files {
		if err := files.RegisterFile(file.Desc); err != nil {
			return nil, fmt.Errorf("register %s: %w", file.Desc.Path(), err)
		}
		for _, enum := range file.Enums {
			if enum.Desc.FullName() != principalEnum {
				continue
			}
			for _, value := range enum.Values {
				reader.values[value.Desc.Number()] = value.GoIdent
			}
		}
	}
	reader.types = dynamicpb.NewTypes(files)
	return reader, nil
}

// principals returns the constants of the kinds that may call the method:
// those of the option, services only where it is not set. It fails on the
// unspecified kind, and on an option that lists nobody.
func (r *accessReader) principals(method *protogen.Method) ([]protogen.GoIdent, error) {
	name := method.Desc.FullName()
	raw, err := proto.Marshal(method.Desc.Options())
	if err != nil {
		return nil, fmt.Errorf("method %s: %w", name, err)
	}
	options := method.Desc.Options().ProtoReflect().New()
	if err := (proto.UnmarshalOptions{Resolver: r.types}).Unmarshal(raw, options.Interface()); err != nil {
		return nil, fmt.Errorf("method %s: %w", name, err)
	}
	var idents []protogen.GoIdent
	set := false
	options.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.FullName() != accessOption {
			return true
		}
		set = true
		kinds := value.Message().Descriptor().Fields().ByName(principalsField)
		list := value.Message().Get(kinds).List()
		for i := range list.Len() {
			ident, known := r.values[list.Get(i).Enum()]
			if !known || list.Get(i).Enum() == 0 {
				err = fmt.Errorf("method %s: unknown principal %d", name, list.Get(i).Enum())
				return false
			}
			idents = append(idents, ident)
		}
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case set && len(idents) == 0:
		return nil, fmt.Errorf("method %s: option (%s) lists nobody", name, accessOption)
	case !set:
		return []protogen.GoIdent{serviceOnly}, nil
	}
	return idents, nil
}
