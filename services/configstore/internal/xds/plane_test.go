package xds_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

var allTypes = []string{ads.ClusterType, ads.EndpointType, ads.ListenerType, ads.RouteType}

// fixture is a store, its control plane and a server of it.
type fixture struct {
	t        *testing.T
	store    *store.Store
	plane    *xds.Plane
	registry *prometheus.Registry
	address  string
}

func newFixture(t *testing.T) *fixture { return newFixtureWith(t, xds.Canary{}) }

func newFixtureWith(t *testing.T, canary xds.Canary) *fixture {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s, err := store.Open(t.Context(), e, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f := &fixture{t: t, store: s, registry: prometheus.NewRegistry()}
	plane := xds.NewPlane(xds.Config{
		Store: s, Tenant: "main", Log: slog.New(slog.DiscardHandler), Registerer: f.registry, Canary: canary,
	})
	f.plane = plane
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := plane.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-plane.Ready()

	mux := http.NewServeMux()
	for _, procedure := range ads.Procedures() {
		mux.Handle(procedure, plane.Handler(nil))
	}
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	running.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Close(); cancel(); running.Wait() })
	return f
}

func (f *fixture) apply(changes ...*configstorev1.Change) string {
	f.t.Helper()
	result, err := f.store.Apply(f.t.Context(), store.Request{Tenant: "main", Changes: changes})
	if err != nil {
		f.t.Fatal(err)
	}
	return result.Release.GetId()
}

func (f *fixture) put(kind, name string, spec proto.Message) *configstorev1.Change {
	f.t.Helper()
	packed, err := anypb.New(spec)
	if err != nil {
		f.t.Fatal(err)
	}
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: kind, Name: name}, Spec: packed,
	}}}
}

func (f *fixture) register(id, service, address string) {
	f.t.Helper()
	instance := &configstorev1.Instance{Id: id, Service: service, Address: address, Ready: true}
	if _, err := f.store.Register(f.t.Context(), "main", instance, 60); err != nil {
		f.t.Fatal(err)
	}
}

// gateway is an ADS client by grpc-go.
type gateway struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

func (f *fixture) connect() *gateway {
	f.t.Helper()
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	f.t.Cleanup(func() { cancel(); conn.Close() })
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return &gateway{f.t, stream}
}

func (g *gateway) send(request *discoveryv3.DiscoveryRequest) {
	g.t.Helper()
	if err := g.stream.Send(request); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) receive() *discoveryv3.DiscoveryResponse {
	g.t.Helper()
	response, err := g.stream.Recv()
	if err != nil {
		g.t.Fatal(err)
	}
	return response
}

func (g *gateway) subscribe(types ...string) {
	for _, kind := range types {
		g.send(&discoveryv3.DiscoveryRequest{TypeUrl: kind})
	}
}

func (g *gateway) ack(response *discoveryv3.DiscoveryResponse) {
	g.send(&discoveryv3.DiscoveryRequest{
		TypeUrl: response.GetTypeUrl(), VersionInfo: response.GetVersionInfo(), ResponseNonce: response.GetNonce(),
	})
}

// update receives and acknowledges one response of each type, in order.
func (g *gateway) update(types ...string) map[string]*discoveryv3.DiscoveryResponse {
	g.t.Helper()
	responses := make(map[string]*discoveryv3.DiscoveryResponse)
	for _, kind := range types {
		response := g.receive()
		if response.GetTypeUrl() != kind {
			g.t.Fatalf("got %s, want %s", response.GetTypeUrl(), kind)
		}
		responses[kind] = response
		g.ack(response)
	}
	return responses
}

// inForce waits until clients that connect are sent a release.
func (f *fixture) inForce(release string) {
	f.t.Helper()
	g := f.connect()
	g.subscribe(ads.ManifestType)
	for g.release() != release {
	}
}

// release receives and acknowledges the next manifest and tells its release.
func (g *gateway) release() string {
	g.t.Helper()
	response := g.receive()
	for response.GetTypeUrl() != ads.ManifestType {
		g.ack(response)
		response = g.receive()
	}
	g.ack(response)
	return unpack(g.t, response.GetResources()[0], new(gatewayv1.Manifest)).GetReleaseId()
}

func unpack[T proto.Message](t *testing.T, packed *anypb.Any, into T) T {
	t.Helper()
	if err := packed.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
	return into
}

func storefront() *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "storefront"}}
}

func prefix(path string) *gatewayv1.PathMatch {
	return &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: path}}
}

func TestClientGetsAClosedSetOfOneRelease(t *testing.T) {
	f := newFixture(t)
	f.register("s-1", "storefront", "unix:/run/storefront.sock")
	f.register("s-2", "storefront", "10.0.0.7:8443")
	f.register("r-1", "rules", "unix:/run/rules.sock")
	release := f.apply(
		f.put("Cluster", "storefront", storefront()),
		f.put("Route", "api", &gatewayv1.Route{
			Path: prefix("/backlot.storefront.v1."), Methods: []string{"POST", "GET"},
			Target: &gatewayv1.Route_Cluster{Cluster: "storefront"},
			Policy: &gatewayv1.RoutePolicy{Principals: []optionsv1.Principal{optionsv1.Principal_PRINCIPAL_VIEWER}},
		}),
		f.put("Route", "media", &gatewayv1.Route{Path: prefix("/media/"), Target: &gatewayv1.Route_Media{Media: &gatewayv1.MediaTarget{Bucket: "media"}}}),
		f.put("VerificationKey", "k1", &identityv1.VerificationKey{
			KeyId: "k1", Uses: []identityv1.VerificationKey_Use{identityv1.VerificationKey_USE_TOKEN},
			Ed25519PublicKey: make([]byte, 32), Issuer: "storefront",
		}),
	)

	f.inForce(release)
	g := f.connect()
	g.subscribe(append(allTypes, ads.ManifestType)...)
	got := g.update(append(allTypes, ads.ManifestType)...)
	manifest := unpack(t, got[ads.ManifestType].GetResources()[0], new(gatewayv1.Manifest))
	if manifest.GetReleaseId() != release {
		t.Errorf("manifest of release %s, want %s", manifest.GetReleaseId(), release)
	}
	for _, kind := range allTypes {
		if version := got[kind].GetVersionInfo(); version != manifest.GetVersions()[kind] {
			t.Errorf("%s is of version %s, in the manifest %s", kind, version, manifest.GetVersions()[kind])
		}
	}

	listener := unpack(t, got[ads.ListenerType].GetResources()[0], new(listenerv3.Listener))
	manager := unpack(t, listener.GetFilterChains()[0].GetFilters()[0].GetTypedConfig(), new(hcmv3.HttpConnectionManager))
	if listener.GetName() != "edge" || manager.GetRds().GetRouteConfigName() != "edge" {
		t.Errorf("listener = %v", listener)
	}
	filter := manager.GetHttpFilters()[0]
	identity := unpack(t, filter.GetTypedConfig(), new(gatewayv1.EdgeIdentity))
	if filter.GetName() != "backlot.gateway.identity" || len(identity.GetKeys()) != 1 || identity.GetKeys()[0].GetKeyId() != "k1" {
		t.Errorf("identity filter = %v", identity)
	}

	routes := unpack(t, got[ads.RouteType].GetResources()[0], new(routev3.RouteConfiguration)).GetVirtualHosts()[0].GetRoutes()
	if len(routes) != 2 {
		t.Fatalf("%d routes, want one to a cluster and one for media", len(routes))
	}
	config := unpack(t, routes[0].GetTypedPerFilterConfig()["backlot.gateway.policy"], new(routev3.FilterConfig))
	policy := unpack(t, config.GetConfig(), new(gatewayv1.RoutePolicy))
	if routes[0].GetName() != "api" || routes[0].GetRoute().GetCluster() != "storefront" || len(policy.GetPrincipals()) != 1 {
		t.Errorf("first route = %v", routes[0])
	}
	target := unpack(t, routes[1].GetMetadata().GetTypedFilterMetadata()["backlot.gateway.target"], new(gatewayv1.RouteTarget))
	if target.GetMedia().GetBucket() != "media" || routes[1].GetNonForwardingAction() == nil {
		t.Errorf("media route = %v", routes[1])
	}

	endpoints := unpack(t, got[ads.EndpointType].GetResources()[0], new(endpointv3.ClusterLoadAssignment)).GetEndpoints()
	if len(endpoints) != 1 || len(endpoints[0].GetLbEndpoints()) != 2 {
		t.Fatalf("endpoints = %v", endpoints)
	}
	first, second := endpoints[0].GetLbEndpoints()[0], endpoints[0].GetLbEndpoints()[1]
	if first.GetEndpoint().GetAddress().GetPipe().GetPath() != "/run/storefront.sock" ||
		second.GetEndpoint().GetAddress().GetSocketAddress().GetPortValue() != 8443 {
		t.Errorf("endpoints = %v", endpoints)
	}
	instance := unpack(t, first.GetMetadata().GetTypedFilterMetadata()["backlot.gateway.instance"], new(configstorev1.Instance))
	if instance.GetId() != "s-1" {
		t.Errorf("instance = %v", instance)
	}
}

func TestUpdatesComeInOrderAndEndpointsAlone(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "storefront", storefront())))
	g := f.connect()
	// In the reverse of the order of updates.
	for _, kind := range slices.Backward(allTypes) {
		g.subscribe(kind)
		g.ack(g.receive())
	}
	f.apply(
		f.put("Cluster", "rules", &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "rules"}}),
		f.put("Route", "all", &gatewayv1.Route{Path: prefix("/"), Target: &gatewayv1.Route_Cluster{Cluster: "rules"}}),
	)
	g.update(ads.ClusterType, ads.EndpointType, ads.RouteType) // the listener is the same
	f.register("s-1", "storefront", "unix:/a")
	f.register("t-1", "transcoder", "unix:/b") // of no cluster: not sent
	first := g.update(ads.EndpointType)[ads.EndpointType]
	if got := unpack(t, first.GetResources()[0], new(endpointv3.ClusterLoadAssignment)); len(first.GetResources()) != 1 || len(got.GetEndpoints()) != 1 {
		t.Errorf("%d resources: %v", len(first.GetResources()), got)
	}
	if err := f.store.Deregister(t.Context(), "main", "s-1"); err != nil {
		t.Fatal(err)
	}
	second := g.update(ads.EndpointType)[ads.EndpointType]
	if gone := unpack(t, second.GetResources()[0], new(endpointv3.ClusterLoadAssignment)); len(gone.GetEndpoints()) != 0 {
		t.Errorf("endpoints are %v", gone)
	}
	if !rises(first.GetVersionInfo(), second.GetVersionInfo()) {
		t.Errorf("version %s came after %s", second.GetVersionInfo(), first.GetVersionInfo())
	}
}

// rises compares the numbers that versions begin with.
func rises(before, after string) bool {
	number := func(version string) (n uint64) {
		_, _ = fmt.Sscanf(version, "%d-", &n)
		return n
	}
	return number(before) > 0 && number(before) < number(after)
}

func TestRejectedVersionIsNotSentAgain(t *testing.T) {
	f := newFixture(t)
	g := f.connect()
	g.subscribe(ads.RouteType)
	first := g.receive()
	g.send(&discoveryv3.DiscoveryRequest{
		TypeUrl: ads.RouteType, ResponseNonce: first.GetNonce(), ErrorDetail: &rpcstatus.Status{Message: "no such filter"},
	})
	// The answer to another type shows that the rejection has been dealt with.
	g.subscribe(ads.ClusterType)
	if next := g.receive(); next.GetTypeUrl() != ads.ClusterType {
		t.Fatalf("the rejected version came again: %v", next)
	}
	want := strings.NewReader("# HELP backlot_configstore_xds_rejections_total Responses that a client refused, by type of resource.\n" +
		"# TYPE backlot_configstore_xds_rejections_total counter\nbacklot_configstore_xds_rejections_total{type=\"route\"} 1\n")
	if err := testutil.GatherAndCompare(f.registry, want, "backlot_configstore_xds_rejections_total"); err != nil {
		t.Error(err)
	}
	f.apply(f.put("Route", "console", &gatewayv1.Route{Path: prefix("/"), Target: &gatewayv1.Route_Console{Console: &gatewayv1.ConsoleTarget{}}}))
	for {
		if next := g.receive(); next.GetTypeUrl() == ads.RouteType {
			if !rises(first.GetVersionInfo(), next.GetVersionInfo()) {
				t.Errorf("version after the rejected one, %s, is %s", first.GetVersionInfo(), next.GetVersionInfo())
			}
			return
		}
	}
}

func TestNamedResourcesAndStaleNonces(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "a", storefront()), f.put("Cluster", "b", storefront())))
	g := f.connect()
	named := func(nonce string, names ...string) {
		g.send(&discoveryv3.DiscoveryRequest{TypeUrl: ads.EndpointType, ResourceNames: names, ResponseNonce: nonce})
	}
	named("", "a")
	first := g.receive()
	if len(first.GetResources()) != 1 {
		t.Fatalf("%d resources, want 1", len(first.GetResources()))
	}
	named("long ago", "a", "b")
	named(first.GetNonce(), "b", "a")
	second := g.receive()
	if len(second.GetResources()) != 1 || second.GetVersionInfo() != first.GetVersionInfo() {
		t.Errorf("%d resources of version %s", len(second.GetResources()), second.GetVersionInfo())
	}
}

func TestDeletionIsARelease(t *testing.T) {
	f := newFixture(t)
	f.inForce(f.apply(f.put("Cluster", "a", storefront())))
	g := f.connect()
	g.subscribe(ads.ClusterType, ads.ManifestType)
	release := f.apply(&configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: &configstorev1.Key{Kind: "Cluster", Name: "a"}}})
	clusters := -1
	for {
		response := g.receive()
		g.ack(response)
		if response.GetTypeUrl() == ads.ClusterType {
			clusters = len(response.GetResources())
		} else if unpack(t, response.GetResources()[0], new(gatewayv1.Manifest)).GetReleaseId() == release {
			break
		}
	}
	if clusters != 0 {
		t.Errorf("%d clusters are left", clusters)
	}
}

func TestEveryClientReachesTheLastRelease(t *testing.T) {
	f := newFixture(t)
	const clients, releases = 8, 10
	var work sync.WaitGroup
	last := fmt.Sprintf("/%d", releases-1)
	for range clients {
		g := f.connect()
		g.subscribe(ads.RouteType)
		work.Go(func() {
			for {
				response := g.receive()
				g.ack(response)
				routes := unpack(t, response.GetResources()[0], new(routev3.RouteConfiguration)).GetVirtualHosts()[0].GetRoutes()
				if len(routes) == 1 && routes[0].GetMatch().GetPrefix() == last {
					return
				}
			}
		})
	}
	for n := range releases {
		f.apply(f.put("Route", "r", &gatewayv1.Route{
			Path: prefix(fmt.Sprintf("/%d", n)), Target: &gatewayv1.Route_Console{Console: &gatewayv1.ConsoleTarget{}},
		}))
	}
	work.Wait()
}
