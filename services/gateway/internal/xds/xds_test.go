package xds_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/xds"
)

const (
	procedure = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	manifest  = "type.googleapis.com/backlot.gateway.v1.Manifest"
)

// plane is a control plane that sends what a test tells it to, and reports
// what it is asked and answered.
type plane struct {
	server *httptest.Server
	delta  chan *discoveryv3.DeltaDiscoveryResponse
	state  chan *discoveryv3.DiscoveryResponse
	asked  chan *discoveryv3.DeltaDiscoveryRequest
	stated chan *discoveryv3.DiscoveryRequest
	ends   chan struct{} // ends a stream
	ended  chan struct{} // of every stream, when it has
}

// newPlane serves delta, or only state of the world.
func newPlane(t *testing.T, delta bool) *plane {
	p := &plane{
		delta: make(chan *discoveryv3.DeltaDiscoveryResponse), state: make(chan *discoveryv3.DiscoveryResponse),
		asked: make(chan *discoveryv3.DeltaDiscoveryRequest, 100), stated: make(chan *discoveryv3.DiscoveryRequest, 100),
		ends: make(chan struct{}), ended: make(chan struct{}, 100),
	}
	mux := http.NewServeMux()
	if delta {
		mux.Handle(procedure+"DeltaAggregatedResources", connect.NewBidiStreamHandler(procedure+"DeltaAggregatedResources",
			func(ctx context.Context, s *connect.BidiStream[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]) error {
				return converse(ctx, s, p.delta, p.asked, p)
			}))
	}
	mux.Handle(procedure+"StreamAggregatedResources", connect.NewBidiStreamHandler(procedure+"StreamAggregatedResources",
		func(ctx context.Context, s *connect.BidiStream[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]) error {
			return converse(ctx, s, p.state, p.stated, p)
		}))
	p.server = httptest.NewUnstartedServer(mux)
	p.server.Config.Protocols = new(http.Protocols)
	p.server.Config.Protocols.SetUnencryptedHTTP2(true)
	p.server.Start()
	t.Cleanup(p.server.Close)
	return p
}

func converse[Req, Res any](ctx context.Context, s *connect.BidiStream[Req, Res], send chan *Res, asked chan *Req, p *plane) error {
	defer func() { p.ended <- struct{}{} }()
	go func() {
		for {
			request, err := s.Receive()
			if err != nil {
				return
			}
			asked <- request
		}
	}()
	for {
		select {
		case response := <-send:
			if err := s.Send(response); err != nil {
				return err
			}
		case <-p.ends:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *plane) client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// next waits for a message that fits.
func next[T any](t *testing.T, from chan *T, fits func(*T) bool) *T {
	t.Helper()
	for {
		select {
		case one := <-from:
			if fits(one) {
				return one
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing came")
		}
	}
}

// give sends responses and returns the reason to refuse the last one, empty
// where it is taken. The others have to be taken.
func (p *plane) give(t *testing.T, responses ...*discoveryv3.DeltaDiscoveryResponse) (reason string) {
	t.Helper()
	for _, response := range responses {
		if reason != "" {
			t.Fatalf("refused: %s", reason)
		}
		p.delta <- response
		answer := next(t, p.asked, func(r *discoveryv3.DeltaDiscoveryRequest) bool { return r.GetResponseNonce() == response.GetNonce() })
		reason = answer.GetErrorDetail().GetMessage()
	}
	return reason
}

func pack(t testing.TB, messages ...proto.Message) []*anypb.Any {
	t.Helper()
	var packed []*anypb.Any
	for _, m := range messages {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, a)
	}
	return packed
}

// resources make one route to a cluster, in a release; the manifest is last.
func resources(t testing.TB, version, release, cluster, address string) []*discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	manager := pack(t, &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "edge"}}})[0]
	all := []proto.Message{
		&clusterv3.Cluster{Name: "shop", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}},
		assignment(address),
		&listenerv3.Listener{Name: "edge", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}}},
		&routev3.RouteConfiguration{Name: "edge", VirtualHosts: []*routev3.VirtualHost{{
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name: "all", Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
			}},
		}}},
	}
	names := []string{"shop", "shop", "edge", "edge"}
	var responses []*discoveryv3.DeltaDiscoveryResponse
	versions := map[string]string{}
	for i, message := range all {
		responses = append(responses, response(t, version, names[i], message))
		versions[responses[i].GetTypeUrl()] = version
	}
	return append(responses, response(t, version, "manifest", &gatewayv1.Manifest{ReleaseId: release, Versions: versions}))
}

func assignment(address string) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: "shop", Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: address}}},
		}}}},
	}}}
}

func response(t testing.TB, version, name string, message proto.Message) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	body := pack(t, message)[0]
	return &discoveryv3.DeltaDiscoveryResponse{
		SystemVersionInfo: version, Nonce: version + body.GetTypeUrl(), TypeUrl: body.GetTypeUrl(),
		Resources: []*discoveryv3.Resource{{Name: name, Version: version, Resource: body}},
	}
}

// gateway is a client that runs until the test ends or it is stopped.
type gateway struct {
	*xds.Client
	applied chan *edge.Config
	refuse  error
	stop    func()
}

func newGateway(t *testing.T, p *plane, file string) *gateway {
	t.Helper()
	g := &gateway{applied: make(chan *edge.Config, 10)}
	g.Client = xds.New(xds.Config{
		HTTP: p.client(), BaseURL: p.server.URL, Node: &corev3.Node{Id: "test"}, SnapshotFile: file,
		Apply: func(c *edge.Config) error {
			if g.refuse == nil {
				g.applied <- c
			}
			return g.refuse
		},
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	return g
}

func (g *gateway) run(t *testing.T, p *plane) *gateway {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-p.ended // so that what is sent next goes to the next one
	})
	t.Cleanup(g.stop)
	return g
}

func snapshotFile(t *testing.T) string { return filepath.Join(t.TempDir(), "xds.snapshot") }

func TestOnlyAWholeGoodReleaseIsPutInForce(t *testing.T) {
	p, file := newPlane(t, true), snapshotFile(t)
	g := newGateway(t, p, file).run(t, p)
	release := resources(t, "1", "r1", "shop", "/run/shop.sock")
	if reason := p.give(t, release[:4]...); reason != "" || len(g.applied) > 0 {
		t.Fatalf("%d put in force before the manifest, refused %q", len(g.applied), reason)
	}
	p.give(t, release[4])
	first := <-g.applied
	if first.Release != "r1" || first.Clusters["shop"].Endpoints[0].Address != "unix:/run/shop.sock" {
		t.Fatalf("got %+v", first)
	}
	if reason := p.give(t, resources(t, "2", "r2", "gone", "/run/shop.sock")...); !strings.Contains(reason, `"gone"`) {
		t.Errorf("refused %q", reason)
	}
	if status := g.Status(); len(g.applied) != 0 || status.Rejected == "" || !status.Connected || !status.Delta {
		t.Errorf("a route to a missing cluster was put in force, or %+v", status)
	}
	// The next good one is taken, whatever was refused before it.
	p.give(t, resources(t, "3", "r3", "shop", "/run/shop.sock")...)
	if third := <-g.applied; third.Release != "r3" || g.Status().Rejected != "" || g.Status().Versions[manifest] != "3" {
		t.Errorf("release %s in force, status %+v", third.Release, g.Status())
	}
	g.stop()

	again := newGateway(t, p, file)
	if loaded, err := again.Load(); !loaded || err != nil {
		t.Fatalf("snapshot: %t, %v", loaded, err)
	}
	if restored := <-again.applied; restored.Release != "r3" {
		t.Errorf("restored release %q", restored.Release)
	}
}

func TestAnEndpointChangesAlone(t *testing.T) {
	p := newPlane(t, true)
	g := newGateway(t, p, snapshotFile(t)).run(t, p)
	p.give(t, resources(t, "1", "r1", "shop", "/a")...)
	first := <-g.applied
	versions := map[string]string{}
	for _, r := range resources(t, "1", "r1", "shop", "/a")[:4] {
		versions[r.GetTypeUrl()] = "1"
	}
	endpoint := response(t, "2", "shop", assignment("/b"))
	versions[endpoint.GetTypeUrl()] = "2"
	p.give(t, endpoint, response(t, "2", "manifest", &gatewayv1.Manifest{ReleaseId: "r1", Versions: versions}))
	if second := <-g.applied; second.Clusters["shop"].Endpoints[0].Address != "unix:/b" || &second.Hosts[0] != &first.Hosts[0] {
		t.Errorf("got %+v; routes are made anew: %t", second.Clusters, &second.Hosts[0] != &first.Hosts[0])
	}
}

func TestWhatCannotBeDecodedOrPutInForceIsRefused(t *testing.T) {
	p := newPlane(t, true)
	g := newGateway(t, p, snapshotFile(t))
	g.refuse = errors.New("no such certificate")
	g.run(t, p)
	bad := response(t, "1", "other", assignment("/a"))
	if reason := p.give(t, bad); !strings.Contains(reason, `"other"`) {
		t.Errorf("refused %q", reason)
	}
	bad.Resources[0].Resource.Value = []byte{0xff}
	if p.give(t, bad) == "" {
		t.Error("taken")
	}
	bad.TypeUrl = "type.googleapis.com/google.protobuf.Empty"
	if p.give(t, bad) == "" {
		t.Error("taken")
	}
	if reason := p.give(t, resources(t, "2", "r1", "shop", "/a")...); !strings.Contains(reason, "no such certificate") {
		t.Errorf("refused %q", reason)
	}
}

func TestItResumesWithWhatItHas(t *testing.T) {
	p, file := newPlane(t, true), snapshotFile(t)
	g := newGateway(t, p, file).run(t, p)
	p.give(t, resources(t, "1", "r1", "shop", "/a")...)
	<-g.applied
	for len(p.asked) > 0 {
		<-p.asked
	}
	resumed := func() {
		t.Helper()
		request := next(t, p.asked, func(r *discoveryv3.DeltaDiscoveryRequest) bool {
			return strings.HasSuffix(r.GetTypeUrl(), ".Cluster") && r.GetNode().GetId() == "test"
		})
		if request.GetInitialResourceVersions()["shop"] != "1" {
			t.Errorf("initial versions %v", request.GetInitialResourceVersions())
		}
	}
	p.ends <- struct{}{} // the stream breaks
	<-p.ended
	resumed()
	g.stop()
	again := newGateway(t, p, file)
	if loaded, err := again.Load(); !loaded || err != nil {
		t.Fatalf("snapshot: %t, %v", loaded, err)
	}
	<-again.applied
	again.run(t, p)
	resumed()
	// The control plane counts anew: the same resources are not put in force again.
	var responses []*discoveryv3.DeltaDiscoveryResponse
	for _, r := range resources(t, "9", "r1", "shop", "/a") {
		if r.GetTypeUrl() != manifest {
			r.Resources = nil
		}
		responses = append(responses, r)
	}
	if reason := p.give(t, responses...); reason != "" || len(again.applied) > 0 {
		t.Errorf("refused %q, %d put in force", reason, len(again.applied))
	}
}

func TestStateOfTheWorldWhereThereIsNoDelta(t *testing.T) {
	p := newPlane(t, false)
	g := newGateway(t, p, snapshotFile(t)).run(t, p)
	next(t, p.stated, func(r *discoveryv3.DiscoveryRequest) bool { return r.GetTypeUrl() == manifest })
	send := func(version, address string) {
		t.Helper()
		for _, r := range resources(t, version, "r"+version, "shop", address) {
			p.state <- &discoveryv3.DiscoveryResponse{
				VersionInfo: version, Nonce: r.GetNonce(), TypeUrl: r.GetTypeUrl(), Resources: []*anypb.Any{r.GetResources()[0].GetResource()},
			}
			answer := next(t, p.stated, func(a *discoveryv3.DiscoveryRequest) bool { return a.GetResponseNonce() == r.GetNonce() })
			if answer.GetErrorDetail() != nil || answer.GetVersionInfo() != version {
				t.Errorf("answer %v", answer)
			}
		}
	}
	send("1", "/a")
	<-g.applied
	send("2", "/b")
	if second := <-g.applied; second.Release != "r2" || second.Clusters["shop"].Endpoints[0].Address != "unix:/b" || g.Status().Delta {
		t.Errorf("got %+v", second)
	}
}

func TestADamagedSnapshotGivesWayToAnOlderOne(t *testing.T) {
	p, file := newPlane(t, true), snapshotFile(t)
	if loaded, err := newGateway(t, p, file).Load(); loaded || err != nil {
		t.Fatalf("loaded %t, err %v", loaded, err)
	}
	for _, version := range []string{"1", "2", "3", "4"} {
		g := newGateway(t, p, file).run(t, p)
		p.give(t, resources(t, version, "r"+version, "shop", "/a")...)
		<-g.applied
		g.stop()
	}
	files, err := filepath.Glob(file + ".*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d snapshots are kept, err %v", len(files), err)
	}
	if err := os.Truncate(file+".4", 100); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, p, file)
	loaded, err := g.Load()
	if !loaded || err == nil {
		t.Fatalf("loaded %t, err %v", loaded, err)
	}
	if restored := <-g.applied; restored.Release != "r3" {
		t.Errorf("restored release %q", restored.Release)
	}
}
