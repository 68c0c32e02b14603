package xds_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/xds"
)

const procedure = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

// plane is a control plane that sends what a test tells it to, as soon as
// each type is subscribed to, and reports what it is answered.
type plane struct {
	server  *httptest.Server
	send    chan *discoveryv3.DiscoveryResponse
	answers chan *discoveryv3.DiscoveryRequest
}

func newPlane(t *testing.T) *plane {
	p := &plane{send: make(chan *discoveryv3.DiscoveryResponse), answers: make(chan *discoveryv3.DiscoveryRequest, 100)}
	handler := connect.NewBidiStreamHandler(procedure, func(ctx context.Context,
		stream *connect.BidiStream[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse],
	) error {
		go func() {
			for {
				request, err := stream.Receive()
				if err != nil {
					return
				}
				p.answers <- request
			}
		}()
		for {
			select {
			case response := <-p.send:
				if err := stream.Send(response); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	p.server = httptest.NewUnstartedServer(handler)
	p.server.Config.Protocols = new(http.Protocols)
	p.server.Config.Protocols.SetUnencryptedHTTP2(true)
	p.server.Start()
	t.Cleanup(p.server.Close)
	return p
}

func (p *plane) client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// answer waits for the acknowledgement or refusal of a response.
func (p *plane) answer(t *testing.T, nonce string) *discoveryv3.DiscoveryRequest {
	t.Helper()
	for {
		select {
		case request := <-p.answers:
			if request.GetResponseNonce() == nonce {
				return request
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no answer to nonce %s", nonce)
		}
	}
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

// resources make one route to one cluster.
func resources(t testing.TB, version, cluster string) []*discoveryv3.DiscoveryResponse {
	t.Helper()
	manager := pack(t, &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "edge"}}})[0]
	all := [][]*anypb.Any{
		pack(t, &clusterv3.Cluster{Name: "shop", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}}),
		pack(t, &endpointv3.ClusterLoadAssignment{ClusterName: "shop", Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/run/shop.sock"}}},
			}}}},
		}}}),
		pack(t, &listenerv3.Listener{Name: "edge", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}}}),
		pack(t, &routev3.RouteConfiguration{Name: "edge", VirtualHosts: []*routev3.VirtualHost{{
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name: "all", Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
			}},
		}}}),
	}
	var responses []*discoveryv3.DiscoveryResponse
	for i, packed := range all {
		responses = append(responses, &discoveryv3.DiscoveryResponse{
			VersionInfo: version, Nonce: version + "-" + string(rune('a'+i)), TypeUrl: packed[0].GetTypeUrl(), Resources: packed,
		})
	}
	return responses
}

func newClient(t *testing.T, p *plane, file string, applied chan *edge.Config) *xds.Client {
	t.Helper()
	return xds.New(xds.Config{
		HTTP: p.client(), BaseURL: p.server.URL, Node: "test", SnapshotFile: file,
		Apply: func(c *edge.Config) { applied <- c }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

func TestOnlyAWholeGoodReleaseIsPutInForce(t *testing.T) {
	p := newPlane(t)
	file := filepath.Join(t.TempDir(), "xds")
	applied := make(chan *edge.Config, 10)
	client := newClient(t, p, file, applied)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()

	for i, response := range resources(t, "r1+0", "shop") {
		if len(applied) > 0 {
			t.Fatalf("a part of a release was put in force before response %d", i)
		}
		p.send <- response
		if p.answer(t, response.GetNonce()).GetErrorDetail() != nil {
			t.Fatalf("response %d was refused", i)
		}
	}
	first := <-applied
	if first.Release != "r1" || first.Clusters["shop"].Endpoints[0].Address != "unix:/run/shop.sock" {
		t.Fatalf("got %+v", first)
	}

	for i, response := range resources(t, "r2+0", "gone") {
		p.send <- response
		fault := p.answer(t, response.GetNonce()).GetErrorDetail()
		if last := i == 3; last != (fault != nil) {
			t.Fatalf("response %d: error detail %v", i, fault)
		}
	}
	if len(applied) != 0 || client.Rejected() == "" {
		t.Errorf("a route to a missing cluster was put in force; rejected = %q", client.Rejected())
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}

	again := newClient(t, p, file, applied)
	if loaded, err := again.Load(); !loaded || err != nil {
		t.Fatalf("snapshot: %t, %v", loaded, err)
	}
	if restored := <-applied; restored.Release != "r1" {
		t.Errorf("restored release %q", restored.Release)
	}
}

func TestADamagedSnapshotIsNotUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "xds")
	if err := os.WriteFile(file, []byte("no snapshot at all, but long enough to hold a checksum"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, newPlane(t), file, make(chan *edge.Config))
	if loaded, err := client.Load(); loaded || err == nil {
		t.Errorf("loaded %t, err %v", loaded, err)
	}
}
