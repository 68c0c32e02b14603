package manifest_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func builtin(t testing.TB) *manifest.Kinds {
	t.Helper()
	known, err := object.NewKinds().Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []*configstorev1.Kind
	for _, kind := range known {
		set, err := kind.Descriptors()
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, &configstorev1.Kind{Name: kind.Name, Message: string(kind.Message), Descriptors: set})
	}
	return manifest.NewKinds(kinds)
}

const two = `# a comment
kind: Cluster
name: shop
labels: {team: web}
spec:
  static:
    addresses: ["127.0.0.1:3000"]
  connectTimeout: 2s
---
---
kind: Route
namespace: eu
name: front
spec:
  path: {prefix: /}
  cluster: shop
`

func TestDocumentsBecomeObjectsAndDocumentsAgain(t *testing.T) {
	k := builtin(t)
	objects, err := k.Read("two.yaml", strings.NewReader(two))
	if err != nil || len(objects) != 2 {
		t.Fatal(len(objects), err)
	}
	cluster := new(gatewayv1.Cluster)
	if err := objects[0].GetSpec().UnmarshalTo(cluster); err != nil {
		t.Fatal(err)
	}
	if cluster.GetStatic().GetAddresses()[0] != "127.0.0.1:3000" || cluster.GetConnectTimeout().AsDuration().Seconds() != 2 {
		t.Errorf("cluster is %v", cluster)
	}
	if objects[0].GetLabels()["team"] != "web" || objects[1].GetKey().GetNamespace() != "eu" {
		t.Errorf("objects are %v", objects)
	}
	var text bytes.Buffer
	if err := k.Write(&text, objects); err != nil {
		t.Fatal(err)
	}
	again, err := k.Read("again.yaml", bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range objects {
		if !proto.Equal(objects[i].GetSpec(), again[i].GetSpec()) {
			t.Errorf("%d: %v became %v", i, objects[i], again[i])
		}
	}
}

func TestBadDocumentsTellFileLineAndField(t *testing.T) {
	k := builtin(t)
	for text, want := range map[string]string{
		"kind: Cluster\nname: a\nspecs: {}\n":                   `f.yaml:1: "specs" is none of kind, namespace, name, labels, spec`,
		"kind: Nothing\nname: a\nspec: {}\n":                    `f.yaml:1: kind: "Nothing" is none of`,
		"\n\nkind: Cluster\nname: a\nspec: {static: {addr: 1}}": `f.yaml:3: Cluster a: spec.static.addr: unknown field of backlot.gateway.v1.StaticEndpoints`,
		"kind: Cluster\nname: a\nspec: {service: [1]}":          "Cluster a: spec: ",
		"- a\n- b\n":         "must have kind, name and spec",
		"kind: a\nkind: b\n": "already defined",
		"kind: [\n":          "f.yaml: yaml: ",
		"a: &a [*a]\n":       "f.yaml:1: ",
	} {
		if _, err := k.Read("f.yaml", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestDiffShowsWhatChanges(t *testing.T) {
	k := builtin(t)
	objects, err := k.Read("two.yaml", strings.NewReader(two))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := k.Read("two.yaml", strings.NewReader(strings.Replace(two, ":3000", ":4000", 1)))
	if err != nil {
		t.Fatal(err)
	}
	diff, err := k.Diff(objects[0], changed[0])
	if err != nil || !strings.Contains(diff, "-      - 127.0.0.1:3000\n+      - 127.0.0.1:4000\n") {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff, err := k.Diff(objects[1], changed[1]); err != nil || diff != "" {
		t.Errorf("nothing differs, but %v\n%s", err, diff)
	}
	if diff, err := k.Diff(nil, objects[1]); err != nil || !strings.HasPrefix(diff, "--- /dev/null\n+++ Route eu/front") {
		t.Errorf("%v\n%s", err, diff)
	}
}

func FuzzReadNeverPanics(f *testing.F) {
	k := builtin(f)
	f.Add(two)
	f.Add("kind: Cluster\nname: a\nspec: {static: {addresses: [1]}}")
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := k.Read("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, o := range objects {
			if _, err := k.Text(o); err != nil {
				t.Errorf("read, but not written: %v", err)
			}
		}
	})
}
