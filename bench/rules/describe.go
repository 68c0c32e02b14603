package rules

import (
	"math"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// message describes a message by its fields "name:type", numbered from 1; a
// type that ends in * is repeated.
func message(name, fields string) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
	for i, field := range strings.Fields(fields) {
		name, kind, _ := strings.Cut(field, ":")
		f := &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), JsonName: proto.String(name), Number: proto.Int32(int32(i + 1)),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if kind, repeated := strings.CutSuffix(kind, "*"); repeated {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			describeType(f, kind)
		} else {
			describeType(f, kind)
		}
		m.Field = append(m.Field, f)
	}
	return m
}

func describeType(f *descriptorpb.FieldDescriptorProto, kind string) {
	switch kind {
	case "int64":
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()
	case "string":
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
	case "double":
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE.Enum()
	case "bool":
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_BOOL.Enum()
	default:
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		f.TypeName = proto.String(".bench." + kind)
	}
}

func floatBits(f float64) uint64 { return math.Float64bits(f) }
