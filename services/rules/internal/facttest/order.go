// Package facttest has a message with every form of field that rules can
// read, for tests. It is built from descriptors, so that no generated code is
// needed.
package facttest

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/durationpb"  // imported by the file
	_ "google.golang.org/protobuf/types/known/timestamppb" // imported by the file
)

type kind = descriptorpb.FieldDescriptorProto_Type

const (
	tInt64   = descriptorpb.FieldDescriptorProto_TYPE_INT64
	tString  = descriptorpb.FieldDescriptorProto_TYPE_STRING
	tBool    = descriptorpb.FieldDescriptorProto_TYPE_BOOL
	tDouble  = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
	tMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	tEnum    = descriptorpb.FieldDescriptorProto_TYPE_ENUM
)

// Order is the descriptor of test.OrderFact, in effect:
//
//	optional Money amount = 1;  optional string card = 2;  string ip = 3;
//	int64 at = 4;  int64 account_age = 5;  bool is_3ds = 6;  repeated Item items = 7;
//	Address billing = 8;  Address shipping = 9;  repeated string labels = 10;
//	double risk = 11;  Channel channel = 12;  int64 paid_orders = 13;
//	google.protobuf.Timestamp paid_at = 14;  google.protobuf.Duration session = 15;
//	repeated int64 codes = 16;  optional int64 attempts = 17;  string email = 18;
//	oneof by { string wallet = 19; int64 voucher = 20; }  bytes blob = 21;
//	sint32 delta = 22;  uint64 big = 23;  fixed32 f32 = 24;  float ratio = 25;
//	optional string device = 300;  repeated Channel seen = 301;
//	message Item { string category = 1; Money price = 2; optional int64 count = 3; repeated string tags = 4; Address from = 5; }
//	message Address { string country = 1; optional string city = 2; int64 floor = 3; }
//	enum Channel { CHANNEL_UNSPECIFIED = 0; CHANNEL_WEB = 1; CHANNEL_APP = 2; }
func Order() protoreflect.MessageDescriptor { return order }

var order = build()

func build() protoreflect.MessageDescriptor {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("test/order.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/timestamp.proto", "google/protobuf/duration.proto"},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Channel"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: proto.String("CHANNEL_UNSPECIFIED"), Number: proto.Int32(0)},
			{Name: proto.String("CHANNEL_WEB"), Number: proto.Int32(1)},
			{Name: proto.String("CHANNEL_APP"), Number: proto.Int32(2)},
		}}},
		MessageType: []*descriptorpb.DescriptorProto{
			message("Money", field("minor", 1, tInt64), field("currency", 2, tString)),
			message("Address", field("country", 1, tString), optional(field("city", 2, tString)), field("floor", 3, tInt64)),
			message("Item", field("category", 1, tString), of(field("price", 2, tMessage), "Money"),
				optional(field("count", 3, tInt64)), repeated(field("tags", 4, tString)), of(field("from", 5, tMessage), "Address")),
			orderMessage(),
		},
	}
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	return built.Messages().ByName("OrderFact")
}

func orderMessage() *descriptorpb.DescriptorProto {
	wallet, voucher := field("wallet", 19, tString), field("voucher", 20, tInt64)
	wallet.OneofIndex, voucher.OneofIndex = proto.Int32(0), proto.Int32(0)
	m := &descriptorpb.DescriptorProto{OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: proto.String("by")}}}
	return fill(m, "OrderFact",
		of(field("amount", 1, tMessage), "Money"), optional(field("card", 2, tString)), field("ip", 3, tString),
		field("at", 4, tInt64), field("account_age", 5, tInt64), field("is_3ds", 6, tBool),
		repeated(of(field("items", 7, tMessage), "Item")), of(field("billing", 8, tMessage), "Address"),
		of(field("shipping", 9, tMessage), "Address"), repeated(field("labels", 10, tString)), field("risk", 11, tDouble),
		of(field("channel", 12, tEnum), "Channel"), field("paid_orders", 13, tInt64),
		external(field("paid_at", 14, tMessage), ".google.protobuf.Timestamp"),
		external(field("session", 15, tMessage), ".google.protobuf.Duration"),
		repeated(field("codes", 16, tInt64)), optional(field("attempts", 17, tInt64)), field("email", 18, tString),
		wallet, voucher, field("blob", 21, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
		field("delta", 22, descriptorpb.FieldDescriptorProto_TYPE_SINT32),
		field("big", 23, descriptorpb.FieldDescriptorProto_TYPE_UINT64),
		field("f32", 24, descriptorpb.FieldDescriptorProto_TYPE_FIXED32),
		field("ratio", 25, descriptorpb.FieldDescriptorProto_TYPE_FLOAT),
		optional(field("device", 300, tString)), repeated(of(field("seen", 301, tEnum), "Channel")))
}

func message(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	return fill(&descriptorpb.DescriptorProto{}, name, fields...)
}

// fill adds fields and, for the optional ones, their synthetic oneofs.
func fill(m *descriptorpb.DescriptorProto, name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	m.Name, m.Field = proto.String(name), fields
	for _, f := range fields {
		if f.GetProto3Optional() {
			f.OneofIndex = proto.Int32(int32(len(m.OneofDecl)))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_" + f.GetName())})
		}
	}
	return m
}

func field(name string, number int32, t kind) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: proto.String(name), JsonName: proto.String(name), Number: proto.Int32(number), Type: t.Enum(),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
}

func optional(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.Proto3Optional = proto.Bool(true)
	return f
}

func repeated(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}

func of(f *descriptorpb.FieldDescriptorProto, name string) *descriptorpb.FieldDescriptorProto {
	return external(f, ".test."+name)
}

func external(f *descriptorpb.FieldDescriptorProto, name string) *descriptorpb.FieldDescriptorProto {
	f.TypeName = proto.String(name)
	return f
}
