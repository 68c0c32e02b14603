package object_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func register(t testing.TB, kinds *object.Kinds, name, message string, set *descriptorpb.FileDescriptorSet) error {
	t.Helper()
	kind, err := kinds.Prepare(name, message, set)
	if err != nil {
		return err
	}
	return kinds.Register(kind)
}

// builtins registers all, as linked types.
func builtins(t testing.TB) *object.Kinds {
	t.Helper()
	kinds := object.NewKinds()
	all, err := kinds.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range all {
		if err := kinds.Register(kind); err != nil {
			t.Fatal(err)
		}
	}
	return kinds
}

// dynamicRoute registers Route by descriptors that differ in nothing but an
// added comment-like option, so that its messages are dynamic.
func dynamicRoute(t testing.TB) *object.Kinds {
	t.Helper()
	kinds := object.NewKinds()
	set := routeSet()
	set.File[len(set.File)-1].Options.GoPackage = proto.String("example.com/elsewhere")
	if err := register(t, kinds, "Route", "backlot.gateway.v1.Route", set); err != nil {
		t.Fatal(err)
	}
	return kinds
}

func routeSet() *descriptorpb.FileDescriptorSet {
	return object.DescriptorSet((*gatewayv1.Route)(nil).ProtoReflect().Descriptor())
}

func pack(t testing.TB, message proto.Message) *anypb.Any {
	t.Helper()
	spec, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func route() *gatewayv1.Route {
	return &gatewayv1.Route{
		Path:   &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/"}},
		Target: &gatewayv1.Route_Cluster{Cluster: "storefront"},
	}
}

func TestGoodSpecPassesAsLinkedAndAsDynamicMessage(t *testing.T) {
	for name, kinds := range map[string]*object.Kinds{"linked": builtins(t), "dynamic": dynamicRoute(t)} {
		message, faults := kinds.Check("Route", pack(t, route()), "spec")
		if len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		if _, linked := message.(*gatewayv1.Route); linked != (name == "linked") {
			t.Errorf("%s: message is %T", name, message)
		}
		targets := object.Targets(object.Key{Tenant: "main", Kind: "Route", Name: "r"}, message)
		if len(targets) != 1 || targets[0].Path() != "/backlot/v1/main/Cluster/default/storefront" {
			t.Errorf("%s: targets = %v", name, targets)
		}
	}
}

func TestBadSpecsAreRefusedWithThePathOfTheField(t *testing.T) {
	unknown := pack(t, route())
	unknown.Value = append(unknown.Value, 0x98, 0x06, 0x01) // field 99 = 1
	nested := pack(t, &gatewayv1.Route{})
	nested.Value = []byte{0x12, 0x06, 0x12, 0x01, '/', 0x98, 0x06, 0x01, 0x22, 0x01, 'x'}
	badMethod := route()
	badMethod.Methods = []string{"GET", "get"}
	badTimeout := route()
	badTimeout.Policy = &gatewayv1.RoutePolicy{Timeout: durationpb.New(-time.Second)}
	noDuration := route()
	noDuration.Policy = &gatewayv1.RoutePolicy{Timeout: &durationpb.Duration{Seconds: 1, Nanos: 2_000_000_000}}
	large := route()
	large.PrefixRewrite = strings.Repeat("x", object.MaxSpecBytes)

	cases := []struct {
		name string
		kind string
		spec *anypb.Any
		want string
		of   error
	}{
		{"unknown kind", "Rout", pack(t, route()), `spec: kind "Rout" is not registered`, object.ErrUnknownKind},
		{"no spec", "Route", nil, `spec: is "", but objects`, object.ErrInvalid},
		{"other message", "Route", pack(t, &gatewayv1.Cluster{}), `spec: is "backlot.gateway.v1.Cluster", but`, object.ErrInvalid},
		{"garbage", "Route", &anypb.Any{TypeUrl: pack(t, route()).GetTypeUrl(), Value: []byte{0xff}}, "spec: is no backlot.gateway.v1.Route in wire format", object.ErrInvalid},
		{"unknown field", "Route", unknown, "spec[99]: backlot.gateway.v1.Route has no field 99", object.ErrInvalid},
		{"unknown nested field", "Route", nested, "spec.path[99]: backlot.gateway.v1.PathMatch has no field 99", object.ErrInvalid},
		{"rule", "Route", pack(t, badMethod), "spec.methods[1]: does not match regex pattern", object.ErrInvalid},
		{"nested rule", "Route", pack(t, badTimeout), "spec.policy.timeout: must be greater than or equal to 0s", object.ErrInvalid},
		{"no duration", "Route", pack(t, noDuration), "spec.policy.timeout: is no duration", object.ErrInvalid},
		{"missing oneof", "Route", pack(t, &gatewayv1.Route{Path: route().GetPath()}), "spec.target: exactly one field is required", object.ErrInvalid},
		{"too large", "Route", pack(t, large), "spec: 52", object.ErrTooLarge},
	}
	for name, kinds := range map[string]*object.Kinds{"linked": builtins(t), "dynamic": dynamicRoute(t)} {
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				_, faults := kinds.Check(c.kind, c.spec, "spec")
				if len(faults) == 0 {
					t.Fatal("accepted")
				}
				if text := faults.Error(); !strings.Contains(text, c.want) {
					t.Errorf("fault is %q, want %q", text, c.want)
				}
				if !errors.Is(faults, c.of) {
					t.Errorf("fault is not of %v", c.of)
				}
			})
		}
	}
}

func TestMeaninglessAddressesAndHostsAreRefused(t *testing.T) {
	kinds := builtins(t)
	hosts := route()
	hosts.Hosts = []string{"example.com", "*.example.com", "*", "a b", "*.*.com"}
	addresses := []string{"127.0.0.1:80", "[::1]:80", "db.internal:5432", "unix:/run/a.sock", "80", ":80", "a:0", "a:99999", "unix:a", "http://a:80"}
	cluster := &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: addresses}}}
	for kind, c := range map[string]struct {
		spec  proto.Message
		paths []string
	}{
		"Route":   {hosts, []string{"hosts[2]", "hosts[3]", "hosts[4]"}},
		"Cluster": {cluster, []string{"static.addresses[4]", "static.addresses[5]", "static.addresses[6]", "static.addresses[7]", "static.addresses[8]", "static.addresses[9]"}},
	} {
		_, faults := kinds.Check(kind, pack(t, c.spec), "")
		var paths []string
		for _, fault := range faults {
			paths = append(paths, strings.TrimPrefix(fault.Path, "."))
		}
		if !slices.Equal(paths, c.paths) {
			t.Errorf("%s: faults at %v, want %v", kind, paths, c.paths)
		}
	}
}

func TestKindIsReplacedByACompatibleOneOnly(t *testing.T) {
	message := func(fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.FileDescriptorSet {
		return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
			Name: proto.String("own.proto"), Package: proto.String("own"), Syntax: proto.String("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Thing"), Field: fields}},
		}}}
	}
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: &kind, JsonName: &name,
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	const text, number = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_INT64

	kinds := object.NewKinds()
	if err := register(t, kinds, "Thing", "own.Thing", message(field("a", 1, text))); err != nil {
		t.Fatal(err)
	}
	if err := register(t, kinds, "Thing", "own.Thing", message(field("a", 1, text), field("b", 2, number))); err != nil {
		t.Errorf("an added field: %v", err)
	}
	for name, set := range map[string]*descriptorpb.FileDescriptorSet{
		"field gone":    message(field("b", 2, number)),
		"field renamed": message(field("c", 1, text), field("b", 2, number)),
		"type changed":  message(field("a", 1, number), field("b", 2, number)),
	} {
		if err := register(t, kinds, "Thing", "own.Thing", set); !errors.Is(err, object.ErrIncompatible) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestBadDescriptorsAreRefused(t *testing.T) {
	incomplete := routeSet()
	incomplete.File = incomplete.File[len(incomplete.File)-1:]
	cycle := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: proto.String("a.proto"), Dependency: []string{"b.proto"}, Syntax: proto.String("proto3")},
		{Name: proto.String("b.proto"), Dependency: []string{"a.proto"}, Syntax: proto.String("proto3")},
	}}
	broken := routeSet()
	broken.File[len(broken.File)-1].MessageType[0].Field = append(broken.File[len(broken.File)-1].MessageType[0].Field,
		&descriptorpb.FieldDescriptorProto{Name: proto.String("x"), Number: proto.Int32(0)})
	for name, set := range map[string]*descriptorpb.FileDescriptorSet{
		"empty": {}, "import missing": incomplete, "cycle": cycle, "bad field": broken,
		"message missing": object.DescriptorSet((*gatewayv1.Route)(nil).ProtoReflect().Descriptor().ParentFile().Imports().Get(0).Messages().Get(0)),
	} {
		if err := register(t, object.NewKinds(), "Route", "backlot.gateway.v1.Route", set); !errors.Is(err, object.ErrInvalid) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestPathRoundTrip(t *testing.T) {
	key := object.Key{Tenant: "main", Kind: "Route", Name: "a.b"}
	got, err := object.ParsePath(key.Path())
	if err != nil || got != key.Normal() {
		t.Errorf("got %v, %v", got, err)
	}
	for _, path := range []string{"", "/backlot/v1/", "/backlot/v1/a/b/c", "/backlot/v1/a/b/c/", "/backlot/v2/a/b/c/d", "/backlot/v1/a/b/c/d/e"} {
		if _, err := object.ParsePath(path); !errors.Is(err, object.ErrPath) {
			t.Errorf("%q: err = %v", path, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	linked, dynamic := builtins(f), dynamicRoute(f)
	f.Add(pack(f, route()).GetValue())
	f.Add([]byte{0x12, 0x06, 0x12, 0x01, '/', 0x98, 0x06, 0x01})
	f.Fuzz(func(t *testing.T, value []byte) {
		spec := pack(t, route())
		spec.Value = value
		_, one := linked.Check("Route", spec, "spec")
		_, two := dynamic.Check("Route", spec, "spec")
		if len(one) == 0 && len(two) > 0 {
			t.Errorf("linked says %v, dynamic says %v", one, two)
		}
	})
}

func FuzzDescriptors(f *testing.F) {
	raw, err := proto.Marshal(routeSet())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	own, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto((*durationpb.Duration)(nil).ProtoReflect().Descriptor().ParentFile()),
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	kinds := object.NewKinds()
	f.Fuzz(func(t *testing.T, raw []byte) {
		set := new(descriptorpb.FileDescriptorSet)
		if proto.Unmarshal(raw, set) != nil {
			return
		}
		name := protoreflect.FullName("backlot.gateway.v1.Route")
		if kind, err := kinds.Prepare("Route", string(name), set); err == nil && kind.Message != name {
			t.Errorf("message is %s", kind.Message)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for name, kinds := range map[string]*object.Kinds{"linked": builtins(b), "dynamic": dynamicRoute(b)} {
		spec := pack(b, route())
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, faults := kinds.Check("Route", spec, "spec"); len(faults) > 0 {
					b.Fatal(faults)
				}
			}
		})
	}
}

func BenchmarkBuiltin(b *testing.B) {
	for b.Loop() {
		builtins(b)
	}
}
