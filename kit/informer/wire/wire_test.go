package wire_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/kit/informer/wire"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// schemaOf is that of a message of generated code.
func schemaOf(message protoreflect.MessageDescriptor, depth int) wire.Schema {
	schema := wire.Schema{}
	for n := range message.Fields().Len() {
		f := message.Fields().Get(n)
		field := wire.Field{Number: int(f.Number())}
		if f.Message() != nil && depth > 0 {
			field.Message = schemaOf(f.Message(), depth-1)
		}
		schema[string(f.Name())] = field
	}
	return schema
}

var listSchema = schemaOf((*configstorev1.ListResponse)(nil).ProtoReflect().Descriptor(), 3)

func list(t testing.TB) (*configstorev1.ListResponse, []byte) {
	t.Helper()
	message := &configstorev1.ListResponse{Revision: 12345678901, Objects: []*configstorev1.Object{
		{Key: &configstorev1.Key{Kind: "A", Namespace: "ns", Name: "one"}, Labels: map[string]string{"x": strings.Repeat("y", 300)}, Revision: 1 << 40, ReleaseId: "r"},
		{Key: &configstorev1.Key{Kind: "A", Name: "two"}, Revision: 3},
		{},
	}}
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return message, raw
}

func compile(t testing.TB, schema wire.Schema, paths ...string) *wire.Mask {
	t.Helper()
	mask, err := wire.CompileMask(schema, paths...)
	if err != nil {
		t.Fatal(err)
	}
	return mask
}

func TestMaskedMessageIsTheWholeOneWithFieldsCleared(t *testing.T) {
	whole, raw := list(t)
	for _, test := range []struct {
		paths []string
		clear func(*configstorev1.Object)
		all   func(*configstorev1.ListResponse)
	}{
		{paths: []string{"objects", "revision"}},
		{paths: []string{"objects"}, all: func(l *configstorev1.ListResponse) { l.Revision = 0 }},
		{paths: []string{"revision"}, all: func(l *configstorev1.ListResponse) { l.Objects = nil }},
		{paths: []string{"revision", "objects.key.name", "objects.labels"}, clear: func(o *configstorev1.Object) {
			o.Revision, o.ReleaseId = 0, ""
			if o.Key != nil {
				o.Key.Kind, o.Key.Namespace = "", ""
			}
		}},
		{paths: []string{"revision", "objects.key.name", "objects.key", "objects.revision"}, clear: func(o *configstorev1.Object) {
			o.Labels, o.ReleaseId = nil, ""
		}},
	} {
		got := new(configstorev1.ListResponse)
		masked, err := compile(t, listSchema, test.paths...).Append([]byte("before"), raw)
		if err != nil || !bytes.HasPrefix(masked, []byte("before")) {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(masked[6:], got); err != nil {
			t.Fatalf("%v: %v", test.paths, err)
		}
		want := proto.Clone(whole).(*configstorev1.ListResponse)
		if test.all != nil {
			test.all(want)
		}
		for _, object := range want.GetObjects() {
			if test.clear != nil {
				test.clear(object)
			}
		}
		if !proto.Equal(got, want) {
			t.Errorf("%v:\n%v, want\n%v", test.paths, got, want)
		}
	}
}

func TestPathsByNumberAreTheSame(t *testing.T) {
	_, raw := list(t)
	number := func(schema wire.Schema, name string) string {
		return string('0' + rune(schema[name].Number))
	}
	objects := number(listSchema, "objects")
	byNumber := compile(t, nil, objects+"."+number(listSchema["objects"].Message, "key"))
	a, _ := compile(t, listSchema, "objects.key").Append(nil, raw)
	b, _ := byNumber.Append(nil, raw)
	c, _ := compile(t, listSchema, objects+".key").Append(nil, raw)
	if !bytes.Equal(a, b) || !bytes.Equal(a, c) || len(a) == 0 {
		t.Errorf("by name %x, by number %x, by both %x", a, b, c)
	}
}

func TestPathsThatNameNothingAreRefusedTogether(t *testing.T) {
	_, err := wire.CompileMask(listSchema, "objects.key", "objects.kex", "revision.x", "objects.0", "9999999", "")
	for _, want := range []string{`"objects.kex"`, `"revision.x"`, `"objects.0"`, `"9999999"`, `""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), `"objects.key"`) {
		t.Errorf("a good path is reported: %v", err)
	}
	if _, err := wire.CompileMask(listSchema); err == nil {
		t.Error("a mask without paths was taken")
	}
}

func TestReaderReadsEveryType(t *testing.T) {
	var raw []byte
	raw = protowire.AppendTag(raw, 1, protowire.VarintType)
	raw = protowire.AppendVarint(raw, math.MaxUint64)
	raw = protowire.AppendTag(raw, 2, protowire.StartGroupType)
	raw = protowire.AppendTag(raw, 3, protowire.BytesType)
	raw = protowire.AppendString(raw, "hidden")
	raw = protowire.AppendTag(raw, 2, protowire.EndGroupType)
	raw = protowire.AppendTag(raw, 4, protowire.Fixed32Type)
	raw = protowire.AppendFixed32(raw, 0x01020304)
	raw = protowire.AppendTag(raw, 5, protowire.Fixed64Type)
	raw = protowire.AppendFixed64(raw, 0x0102030405060708)
	raw = protowire.AppendTag(raw, 536870911, protowire.BytesType)
	raw = protowire.AppendString(raw, "text")
	r := wire.NewReader(raw)
	type field struct {
		number int
		value  uint64
		bytes  string
	}
	var got []field
	for r.Next() {
		got = append(got, field{r.Number(), r.Uint(), string(r.Bytes())})
	}
	want := []field{{1, math.MaxUint64, ""}, {4, 0x01020304, ""}, {5, 0x0102030405060708, ""}, {536870911, 0, "text"}}
	if r.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("read %v, %v", got, r.Err())
	}
	for _, bad := range []string{"\x0a", "\x0a\x05x", "\x00\x01", "\x08", "\x0d\x01", "\x09\x01", "\x0b", "\x0b\x14", "\x0f", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"} {
		r := wire.NewReader([]byte(bad))
		for r.Next() {
		}
		if !errors.Is(r.Err(), wire.ErrMalformed) {
			t.Errorf("%x: %v", bad, r.Err())
		}
	}
}

func TestInternerKeepsEqualStringsOnce(t *testing.T) {
	var names wire.Interner
	a := names.String([]byte("node-1"))
	if n := testing.AllocsPerRun(100, func() {
		if names.String([]byte("node-1")) != a {
			t.Error("another string")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a known string", n)
	}
	for n := range 100_000 {
		raw := []byte(strings.Repeat("x", n%200) + string(rune('a'+n%26)))
		if names.String(raw) != string(raw) {
			t.Fatalf("%q became %q", raw, names.String(raw))
		}
	}
}

// FuzzMask: what protobuf-go takes is taken, and masked, it is the message
// with fields cleared; what is kept whole is kept as it is.
func FuzzMask(f *testing.F) {
	_, raw := list(f)
	f.Add(raw)
	f.Add([]byte("\x0a\x05x"))
	f.Add([]byte("\x0b\x0c\x0a\x00"))
	part := compile(f, listSchema, "objects.key.name", "objects.labels", "revision")
	whole := compile(f, listSchema, "objects", "revision")
	var every []string
	for n := range 200 {
		every = append(every, string(appendNumber(nil, n+1)))
	}
	all := compile(f, nil, every...)
	f.Fuzz(func(t *testing.T, raw []byte) {
		size := 0
		var wrong error
		for rest := raw; len(rest) > 0; rest = raw[size:] {
			_, _, n := protowire.ConsumeField(rest)
			if n < 0 {
				wrong = protowire.ParseError(n)
				break
			}
			size += n
		}
		kept, err := whole.Append(nil, raw)
		if (err == nil) != (wrong == nil) && wrong != nil {
			t.Fatalf("%x is taken, but is %v", raw, wrong)
		}
		if same, err := all.Append(nil, raw); err == nil && highest(raw) <= 200 && !bytes.Equal(same, raw) {
			t.Fatalf("a mask that keeps all changed %x to %x", raw, same)
		}
		want, lenient := new(configstorev1.ListResponse), proto.UnmarshalOptions{DiscardUnknown: true}
		if err != nil || lenient.Unmarshal(raw, want) != nil {
			return
		}
		got := new(configstorev1.ListResponse)
		if err := lenient.Unmarshal(kept, got); err != nil || !proto.Equal(got, want) {
			t.Fatalf("%x: %v, %v, want %v", raw, err, got, want)
		}
		masked, err := part.Append(nil, raw)
		if err != nil || len(masked) > len(raw) {
			return // a message where there is none
		}
		if err := lenient.Unmarshal(masked, got); err != nil {
			t.Fatalf("%x masked is %x: %v", raw, masked, err)
		}
		for n, object := range got.GetObjects() {
			if object.GetKey().GetName() != want.GetObjects()[n].GetKey().GetName() || object.GetRevision() != 0 {
				t.Fatalf("%x: object %v", raw, object)
			}
		}
	})
}

func appendNumber(to []byte, n int) []byte {
	if n >= 10 {
		to = appendNumber(to, n/10)
	}
	return append(to, byte('0'+n%10))
}

func highest(raw []byte) (number protowire.Number) {
	for len(raw) > 0 {
		field, _, n := protowire.ConsumeField(raw)
		if n < 0 {
			return protowire.MaxValidNumber
		}
		number, raw = max(number, field), raw[n:]
	}
	return number
}
