package xds_test

import (
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

// as connects as a node.
func (f *fixture) as(node string, types ...string) *gateway {
	f.t.Helper()
	g := f.connect()
	for _, kind := range types {
		g.send(&discoveryv3.DiscoveryRequest{TypeUrl: kind, Node: &corev3.Node{Id: node, Cluster: "gateway"}})
	}
	return g
}

func (g *gateway) refuse(response *discoveryv3.DiscoveryResponse) {
	g.t.Helper()
	g.send(&discoveryv3.DiscoveryRequest{
		TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(), ErrorDetail: &rpcstatus.Status{Message: "no"},
	})
}

func TestAReleaseGoesToCanariesFirst(t *testing.T) {
	f := newFixtureWith(t, xds.Canary{Nodes: []string{"canary-*"}, Hold: 20 * time.Millisecond})
	to := func(path string) *configstorev1.Change {
		return f.put("Route", "all", &gatewayv1.Route{Path: prefix(path), Target: &gatewayv1.Route_Cluster{Cluster: "storefront"}})
	}
	first := f.apply(f.put("Cluster", "storefront", storefront()), to("/1"))
	canary := f.as("canary-1", ads.ManifestType)
	other := f.as("other", ads.EndpointType, ads.ManifestType)
	for canary.release() != first {
	}
	for other.release() != first {
	}

	bad := f.apply(to("/2"))
	refused := canary.receive()
	if got := unpack(t, refused.GetResources()[0], new(gatewayv1.Manifest)).GetReleaseId(); got != bad {
		t.Fatalf("canary got release %s, want %s", got, bad)
	}
	canary.refuse(refused)
	// Endpoints do not wait for it.
	f.register("s-1", "storefront", "unix:/a")
	if response := other.receive(); response.GetTypeUrl() != ads.EndpointType {
		t.Fatalf("got %s", response.GetTypeUrl())
	} else {
		other.ack(response)
	}
	if got := other.release(); got != first {
		t.Errorf("release %s went beyond the canary that refused it", got)
	}
	good := f.apply(to("/3"))
	for canary.release() != good {
	}
	if got := other.release(); got != good {
		t.Errorf("got release %s, want %s", got, good)
	}
}

func TestDeltaSendsWhatChanged(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "storefront", storefront()), f.put("Cluster", "rules", storefront())))
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(request *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() *discoveryv3.DeltaDiscoveryResponse {
		t.Helper()
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
		return response
	}
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.ClusterType})
	if first := receive(); len(first.GetResources()) != 2 {
		t.Fatalf("got %v", first)
	}
	f.apply(f.put("Cluster", "rules", &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "rules"}, ConnectTimeout: durationpb.New(time.Second)}))
	if second := receive(); len(second.GetResources()) != 1 || second.GetResources()[0].GetName() != "rules" {
		t.Errorf("got %v", second)
	}
	f.apply(&configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: &configstorev1.Key{Kind: "Cluster", Name: "rules"}}})
	if third := receive(); len(third.GetResources()) != 0 || !slices.Equal(third.GetRemovedResources(), []string{"rules"}) {
		t.Errorf("got %v", third)
	}
}

func TestInstancesFromElsewhereAreEndpoints(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "storefront", storefront())))
	g := f.connect()
	g.subscribe(ads.EndpointType)
	g.ack(g.receive())
	endpoints := func() int {
		t.Helper()
		response := g.update(ads.EndpointType)[ads.EndpointType]
		n := 0
		for _, locality := range unpack(t, response.GetResources()[0], new(endpointv3.ClusterLoadAssignment)).GetEndpoints() {
			n += len(locality.GetLbEndpoints())
		}
		return n
	}
	f.plane.Place(map[string]*configstorev1.Instance{
		"a": {Id: "a", Service: "storefront", Address: "10.0.0.1:80", Ready: true},
		"b": {Id: "b", Service: "storefront", Address: "10.0.0.2:80", Ready: true},
		"c": {Id: "c", Service: "storefront", Address: "10.0.0.3:80"},
	})
	if n := endpoints(); n != 2 {
		t.Errorf("%d endpoints, want 2", n)
	}
	f.plane.Place(map[string]*configstorev1.Instance{"a": nil})
	if n := endpoints(); n != 1 {
		t.Errorf("%d endpoints, want 1", n)
	}
}

func TestSetsOfInstancesAreEndpoints(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "storefront", storefront())))
	g := f.connect()
	g.subscribe(ads.EndpointType)
	g.ack(g.receive())
	endpoints := func() (addresses []string) {
		t.Helper()
		response := g.update(ads.EndpointType)[ads.EndpointType]
		for _, locality := range unpack(t, response.GetResources()[0], new(endpointv3.ClusterLoadAssignment)).GetEndpoints() {
			for _, e := range locality.GetLbEndpoints() {
				addresses = append(addresses, e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
			}
		}
		return addresses
	}
	place := f.plane.PlaceSets()
	event := func(kind informer.EventType, addresses ...string) {
		set := new(configstorev1.InstanceSet)
		for _, address := range addresses {
			set.Instances = append(set.Instances, &configstorev1.Instance{Id: address, Service: "storefront", Address: address + ":80", Ready: true})
		}
		place([]informer.Event[*configstorev1.InstanceSet]{{Type: kind, Object: &informer.Object[*configstorev1.InstanceSet]{Namespace: "shop", Name: "web", Spec: set}}})
	}
	event(informer.Added, "10.0.0.1", "10.0.0.2", "10.0.0.3")
	if got := endpoints(); !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
		t.Errorf("endpoints are %v", got)
	}
	event(informer.Updated, "10.0.0.3")
	if got := endpoints(); !slices.Equal(got, []string{"10.0.0.3"}) {
		t.Errorf("endpoints are %v", got)
	}
	event(informer.Deleted, "10.0.0.3")
	if got := endpoints(); len(got) != 0 {
		t.Errorf("endpoints are %v", got)
	}
}
