package xds

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func consoleAt(path *gatewayv1.PathMatch, hosts ...string) *gatewayv1.Route {
	return &gatewayv1.Route{Hosts: hosts, Path: path, Target: &gatewayv1.Route_Console{Console: &gatewayv1.ConsoleTarget{}}}
}

func exact(path string) *gatewayv1.PathMatch {
	return &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Exact{Exact: path}}
}

func prefix(path string) *gatewayv1.PathMatch {
	return &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: path}}
}

func TestMoreSpecificRoutesComeFirst(t *testing.T) {
	withMethod := consoleAt(prefix("/media/"))
	withMethod.Methods = []string{"GET"}
	all := map[id]*gatewayv1.Route{
		{"default", "root"}:      consoleAt(prefix("/")),
		{"default", "media"}:     consoleAt(prefix("/media/")),
		{"default", "media-get"}: withMethod,
		{"default", "exact"}:     consoleAt(exact("/m")),
		{"own", "root"}:          consoleAt(prefix("/")),
		{"default", "a"}:         consoleAt(prefix("/"), "a.example.com"),
		{"default", "any"}:       consoleAt(prefix("/"), "*.example.com"),
	}
	configuration, err := new(renderer).renderRoutes(edge, all)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, host := range configuration.GetVirtualHosts() {
		var names []string
		for _, route := range host.GetRoutes() {
			names = append(names, route.GetName())
		}
		got = append(got, host.GetDomains()[0]+": "+strings.Join(names, " "))
	}
	want := []string{
		"*: exact media-get media own/root root",
		"*.example.com: exact media-get media any own/root root",
		"a.example.com: exact media-get media a any own/root root",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestDanglingRouteIsNotSealed(t *testing.T) {
	s := newState()
	s.routes[id{"default", "r"}] = &gatewayv1.Route{Path: prefix("/"), Target: &gatewayv1.Route_Cluster{Cluster: "gone"}}
	rendered, err := new(renderer).render(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := new(sealer).seal(rendered); err == nil || !strings.Contains(err.Error(), `cluster "gone"`) {
		t.Errorf("err = %v", err)
	}
}

func TestRenderingTwiceGivesTheSameBytes(t *testing.T) {
	s := newState()
	for _, name := range []string{"a", "b", "c", "d"} {
		s.clusters[id{"default", name}] = &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: name}}
		s.enrol(nil, &configstorev1.Instance{Id: name, Service: name, Address: "unix:/" + name, Ready: true})
		s.routes[id{"default", name}] = consoleAt(prefix("/"+name), name)
	}
	var previous *ads.Snapshot
	for range 10 {
		rendered, err := new(renderer).render(s)
		if err != nil {
			t.Fatal(err)
		}
		resources, err := new(sealer).seal(rendered)
		if err != nil {
			t.Fatal(err)
		}
		next, changed := ads.Next(previous, "r1", 1, resources)
		if previous != nil && changed {
			t.Fatal("rendered differently")
		}
		previous = next
	}
}

// FuzzRender: whatever the store accepts can be served.
func FuzzRender(f *testing.F) {
	kinds := object.NewKinds()
	builtin, err := kinds.Builtin()
	if err != nil {
		f.Fatal(err)
	}
	for _, kind := range builtin {
		if err := kinds.Register(kind); err != nil {
			f.Fatal(err)
		}
	}
	seed := func(messages ...proto.Message) {
		var raw [5][]byte
		for n, message := range messages {
			if raw[n], err = proto.Marshal(message); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(raw[0], raw[1], raw[2], raw[3], raw[4])
	}
	seed(
		&gatewayv1.Route{Hosts: []string{"*.a"}, Path: prefix("/"), PrefixRewrite: "/x", Target: &gatewayv1.Route_Cluster{Cluster: "c"}},
		&gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "s"}},
		&configstorev1.Instance{Id: "i", Service: "s", Address: "a:1", Ready: true, Zone: "z"},
	)
	seed(
		consoleAt(exact("/")),
		&gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: []string{"unix:/a"}}}},
		&configstorev1.Instance{},
	)
	for n := range 20 {
		g := &maker{rand.New(rand.NewPCG(2, uint64(n)))}
		secrets := g.secrets()
		seed(g.route(), g.cluster(), &configstorev1.Instance{}, g.listener(0), secrets[g.pick("pair", "ca", "jwks", "keys")])
	}
	f.Fuzz(func(t *testing.T, route, cluster, instance, listener, secret []byte) {
		s := newState()
		for kind, raw := range map[string][]byte{
			"Route": route, "Cluster": cluster, "Instance": instance, "Listener": listener, object.SecretKind: secret,
		} {
			k, _ := kinds.Get(kind)
			spec := &anypb.Any{TypeUrl: "type.googleapis.com/" + string(k.Message), Value: raw}
			message, faults := kinds.Check(kind, spec, "")
			if len(faults) > 0 {
				continue
			}
			for _, target := range object.Targets(object.Key{Kind: kind, Namespace: "default"}, message) {
				s.clusters[id{"default", target.Name}] = &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "s"}}
			}
			event := &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: &configstorev1.Object{
				Key: &configstorev1.Key{Kind: kind, Namespace: "default", Name: "x"}, Spec: spec,
			}}
			if _, err := s.apply(event); err != nil {
				t.Fatal(err)
			}
		}
		rendered, err := new(renderer).render(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := new(sealer).seal(rendered); err != nil {
			t.Fatal(err)
		}
	})
}
