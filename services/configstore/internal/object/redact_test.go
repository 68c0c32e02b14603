package object_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// vault is a schema of somebody's own, with marks on every form of field.
func vault() *descriptorpb.FileDescriptorSet {
	marked := &descriptorpb.FieldOptions{DebugRedact: proto.Bool(true)}
	field := func(number int32, name string, kind descriptorpb.FieldDescriptorProto_Type, repeated bool, of string, options *descriptorpb.FieldOptions) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, JsonName: &name, Number: &number, Type: &kind, Options: options,
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if repeated {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	const (
		text, raw, number, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES,
			descriptorpb.FieldDescriptorProto_TYPE_INT64, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("vault.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Inner"), Field: []*descriptorpb.FieldDescriptorProto{
				field(1, "word", text, false, "", nil), field(2, "pin", number, false, "", nil),
			}},
			{
				Name: proto.String("Vault"), Field: []*descriptorpb.FieldDescriptorProto{
					field(1, "open", text, false, "", nil),
					field(2, "text", text, false, "", marked), field(3, "raw", raw, false, "", marked), field(4, "number", number, false, "", marked),
					field(5, "list", text, true, "", marked), field(6, "whole", message, false, ".test.Inner", marked),
					field(7, "pairs", message, true, ".test.Vault.PairsEntry", marked), field(8, "seen", message, true, ".test.Inner", nil),
				},
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: proto.String("PairsEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
					Field: []*descriptorpb.FieldDescriptorProto{field(1, "key", text, false, "", nil), field(2, "value", text, false, "", nil)},
				}},
			},
		},
	}}}
}

func TestEveryMarkedFieldIsHidden(t *testing.T) {
	kinds := builtins(t)
	if err := register(t, kinds, "Vault", "test.Vault", vault()); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]bool{"Vault": true, "Secret": true, "Route": false, "Cluster": false, "Unknown": true} {
		if got := kinds.IsSecret(kind); got != want {
			t.Errorf("%s holds secrets: %v", kind, got)
		}
	}
	files, err := protodesc.NewFiles(vault())
	if err != nil {
		t.Fatal(err)
	}
	found, err := files.FindDescriptorByName("test.Vault")
	if err != nil {
		t.Fatal(err)
	}
	message := dynamicpb.NewMessage(found.(protoreflect.MessageDescriptor))
	const secrets = `{"open":"shown","text":"hidden1","raw":"aGlkZGVu","number":"4711","list":["hidden2","hidden3"],
		"whole":{"word":"hidden4","pin":"4711"},"pairs":{"user":"hidden5"},"seen":[{"word":"shown too","pin":"12"}]}`
	if err := protojson.Unmarshal([]byte(secrets), message); err != nil {
		t.Fatal(err)
	}
	spec, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := kinds.Check("Vault", spec, "spec"); len(faults) > 0 {
		t.Fatal(faults)
	}
	shown := kinds.Redact("Vault", spec)
	message.Reset()
	if err := proto.Unmarshal(shown.GetValue(), message); err != nil {
		t.Fatal(err)
	}
	text := protojson.Format(message)
	if strings.Contains(text, "hidden") || strings.Contains(text, "4711") || strings.Contains(string(shown.GetValue()), "hidden") {
		t.Errorf("not hidden: %s", text)
	}
	for _, want := range []string{"shown", "shown too", "12", "user", "redacted, SHA-256 "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	_, faults := kinds.Check("Vault", shown, "spec")
	var paths []string
	for _, fault := range faults {
		paths = append(paths, fault.Path)
	}
	for _, want := range []string{"spec.text", "spec.raw", "spec.list[0]", "spec.list[1]", "spec.whole.word", `spec.pairs["user"]`} {
		if !strings.Contains(strings.Join(paths, " "), want) {
			t.Errorf("written back: %s is no fault among %v", want, paths)
		}
	}
	if again := kinds.Redact("Vault", shown); string(again.GetValue()) != string(shown.GetValue()) {
		t.Error("redacting twice is not redacting once")
	}
}
