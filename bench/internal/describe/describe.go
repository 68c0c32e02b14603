// Package describe makes descriptors of messages without generated code.
package describe

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Message is a message's name and its fields "name:type", numbered from 1.
// Types are int64, double, string, bool and names of messages of the same
// file; one that ends in * is repeated.
type Message struct{ Name, Fields string }

// File describes messages and returns the last.
func File(pkg string, messages ...Message) (protoreflect.MessageDescriptor, error) {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String(pkg + "/fact.proto"), Package: proto.String(pkg), Syntax: proto.String("proto3"),
	}
	for _, m := range messages {
		described := &descriptorpb.DescriptorProto{Name: proto.String(m.Name)}
		for i, text := range strings.Fields(m.Fields) {
			described.Field = append(described.Field, field(pkg, text, int32(i+1)))
		}
		file.MessageType = append(file.MessageType, described)
	}
	built, err := protodesc.NewFile(file, nil)
	if err != nil {
		return nil, fmt.Errorf("describe facts: %w", err)
	}
	return built.Messages().Get(len(messages) - 1), nil
}

var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"int64":  descriptorpb.FieldDescriptorProto_TYPE_INT64,
	"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL,
}

func field(pkg, text string, number int32) *descriptorpb.FieldDescriptorProto {
	name, kind, _ := strings.Cut(text, ":")
	kind, repeated := strings.CutSuffix(kind, "*")
	f := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(name), JsonName: proto.String(name), Number: proto.Int32(number),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if repeated {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	if scalar, ok := scalars[kind]; ok {
		f.Type = scalar.Enum()
		return f
	}
	f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	f.TypeName = proto.String("." + pkg + "." + kind)
	return f
}
