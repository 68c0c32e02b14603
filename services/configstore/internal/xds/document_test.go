package xds

import (
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// TestTheDocumentsExamplesWork puts each example of docs/gateway.md through the
// checks, its references and the rendering, and sees that every field of a
// policy and of a cluster is shown.
func TestTheDocumentsExamplesWork(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := object.NewKinds()
	builtin, err := kinds.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var listed []*configstorev1.Kind
	for _, kind := range builtin {
		if err := kinds.Register(kind); err != nil {
			t.Fatal(err)
		}
		set, err := kind.Descriptors()
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, &configstorev1.Kind{Name: kind.Name, Message: string(kind.Message), Descriptors: set})
	}
	reader := manifest.NewKinds(listed)
	s, shown := newState(), map[string]bool{}
	var targets []object.Target
	present := map[object.Key]bool{}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	for n, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		objects, err := reader.Read("docs/gateway.md", strings.NewReader(block))
		if err != nil {
			t.Errorf("example %d: %v\n%s", n+1, err, block)
			continue
		}
		for _, o := range objects {
			key := object.Key{Tenant: "main", Kind: o.GetKey().GetKind(), Name: o.GetKey().GetName()}.Normal()
			message, faults := kinds.Check(key.Kind, o.GetSpec(), "")
			if len(faults) > 0 {
				t.Errorf("example %d: %s: %v", n+1, key, faults)
				continue
			}
			if present[key] {
				t.Errorf("example %d: %s is in another example too", n+1, key)
			}
			present[key] = true
			targets = append(targets, object.Targets(key, message)...)
			o.Key.Namespace = key.Namespace
			if _, err := s.apply(&configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o}); err != nil {
				t.Error(err)
			}
			collect(shown, message)
		}
	}
	for _, target := range targets {
		if !present[target.Key] {
			t.Errorf("%s is referred to and in no example", target.Key)
		}
	}
	if len(blocks) < 20 {
		t.Errorf("%d examples", len(blocks))
	}
	sealsWhole(t, s)
	for _, message := range []proto.Message{(*gatewayv1.RoutePolicy)(nil), (*gatewayv1.Route)(nil), (*gatewayv1.Cluster)(nil), (*gatewayv1.Listener)(nil), (*gatewayv1.Secret)(nil)} {
		fields := message.ProtoReflect().Descriptor().Fields()
		for n := range fields.Len() {
			if name := string(fields.Get(n).FullName()); !shown[name] && !slices.Contains([]string{"backlot.gateway.v1.Route.console"}, name) {
				t.Errorf("%s is in no example", name)
			}
		}
	}
}

// sealsWhole renders and validates all resources.
func sealsWhole(t *testing.T, s *state) {
	t.Helper()
	rendered, err := new(renderer).render(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := rendered.closed(); err != nil {
		t.Error(err)
	}
	for _, kind := range corpusTypes {
		for name, message := range rendered.resources(kind) {
			if err := message.ValidateAll(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// collect notes which fields of a message are set, at any depth.
func collect(shown map[string]bool, message proto.Message) {
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		shown[string(field.FullName())] = true
		if field.Message() != nil && !field.IsList() && !field.IsMap() {
			collect(shown, value.Message().Interface())
		}
		return true
	})
}
