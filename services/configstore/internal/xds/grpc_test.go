package xds_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// backend is a gRPC server that is told from others by its health.
func backend(t *testing.T, says healthpb.HealthCheckResponse_ServingStatus) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, about := grpc.NewServer(), health.NewServer()
	about.SetServingStatus("", says)
	healthpb.RegisterHealthServer(server, about)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// dial is grpc-go's own xDS client.
func (f *fixture) dial(target string) healthpb.HealthClient {
	f.t.Helper()
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil, `{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "grpc"}}`, f.address))
	if err != nil {
		f.t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///"+target, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

func static(address string) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: []string{address}}}}
}

// TestGRPCClientsGoByTheSameRoutes drives grpc-go's xDS client: conditions on
// headers, splits, changes of endpoints, the circuit breaker, and routes that
// it has no use for beside those that it has.
func TestGRPCClientsGoByTheSameRoutes(t *testing.T) {
	const here, there = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	f := newFixture(t)
	one, two := backend(t, here), backend(t, there)
	narrow := static(one)
	narrow.Breaker = &gatewayv1.CircuitBreaker{MaxRequests: 1}
	host := []string{"shop.test"}
	all := &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/grpc.health.v1.Health/"}}
	when := func(name string) []*gatewayv1.ValueMatch {
		return []*gatewayv1.ValueMatch{{Name: name, Match: &gatewayv1.ValueMatch_Regex{Regex: "y.*"}}}
	}
	f.apply(
		f.put("Cluster", "one", static(one)), f.put("Cluster", "two", static(two)), f.put("Cluster", "narrow", narrow),
		f.put("Route", "plain", &gatewayv1.Route{Hosts: host, Path: all, Target: &gatewayv1.Route_Cluster{Cluster: "one"}, Policy: &gatewayv1.RoutePolicy{
			Cors: &gatewayv1.Cors{Origins: []string{"*"}}, RateLimits: []*gatewayv1.RateLimit{{Name: "all", Rate: 1}},
			Retry: &gatewayv1.Retry{Statuses: []uint32{503}, Reset_: true}, MaxAttempts: 3,
		}}),
		f.put("Route", "canary", &gatewayv1.Route{Hosts: host, Path: all, Headers: when("X-Canary"), Target: &gatewayv1.Route_Split{Split: &gatewayv1.Split{
			Clusters: []*gatewayv1.WeightedCluster{{Cluster: "one", Weight: 0}, {Cluster: "two", Weight: 1}},
		}}}),
		f.put("Route", "narrow", &gatewayv1.Route{Hosts: host, Path: all, Headers: when("x-narrow"), Target: &gatewayv1.Route_Cluster{Cluster: "narrow"}}),
		f.put("Route", "template", &gatewayv1.Route{
			Hosts: host, Path: &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Template{Template: "/{service}/Nowhere"}},
			Target: &gatewayv1.Route_Answer{Answer: &gatewayv1.Answer{Status: 404}},
		}),
		f.put("Route", "guarded", &gatewayv1.Route{
			Hosts: host, Path: &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/vault"}},
			Target: &gatewayv1.Route_Cluster{Cluster: "one"}, Policy: &gatewayv1.RoutePolicy{ClientCertificate: &gatewayv1.ClientCertificate{}},
		}),
	)
	client := f.dial("shop.test")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ask := func(pairs ...string) (healthpb.HealthCheckResponse_ServingStatus, error) {
		answer, err := client.Check(metadata.AppendToOutgoingContext(ctx, pairs...), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return answer.GetStatus(), err
	}
	if got, err := ask(); err != nil || got != here {
		t.Fatalf("plain: %v, %v", got, err)
	}
	if got, err := ask("x-canary", "yes"); err != nil || got != there {
		t.Errorf("by a header: %v, %v", got, err)
	}

	// The breaker of one request: a stream takes it.
	held := metadata.AppendToOutgoingContext(ctx, "x-narrow", "yes")
	watch, err := client.Watch(held, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Check(held, &healthpb.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("beyond the breaker: %v", err)
	}

	f.apply(f.put("Cluster", "one", static(two)))
	for {
		got, err := ask()
		if err != nil {
			t.Fatalf("while endpoints change: %v", err)
		}
		if got == there {
			break
		}
	}
}
