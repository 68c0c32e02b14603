package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/secret"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// pair is a certificate of loopback with its key and its authority.
func pair() edge.Secret {
	leaf := testcert.New().Leaf("localhost", "127.0.0.1")
	return edge.Secret{CertificatePEM: leaf.Certificate, KeyPEM: leaf.Key, AuthorityPEM: leaf.Authority}
}

// testGateway is a gateway in this process before one upstream.
type testGateway struct {
	plain, secure string // addresses
	roots         *x509.CertPool
	relay         *relay.Relay
	http2         *h2.Server
}

// startGateway serves by one cluster whose endpoint speaks HTTP/2.
func startGateway(t *testing.T, cluster edge.Cluster) *testGateway {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	keys, err := identity.ParseKeys([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	site := pair()
	cluster.Name = "c"
	config := &edge.Config{
		Release: "r", Clusters: map[string]edge.Cluster{"c": cluster},
		Secrets:   map[string]edge.Secret{"site": site},
		Listeners: []edge.Listener{{Name: "secure", TLS: &edge.ListenerTLS{Certificates: []string{"site"}}}},
		Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{{
			Name: "all", Path: "/", Cluster: "c", Policy: edge.Policy{MaxRequest: 64 << 20, MaxAttempts: 2},
		}}}},
	}
	if cluster.TLS != nil {
		config.Secrets["upstream"] = edge.Secret{AuthorityPEM: []byte(cluster.TLS.Authority)}
		cluster.TLS = &edge.ClusterTLS{Authority: "upstream", ServerName: "localhost"}
		config.Clusters["c"] = cluster
	}
	g := &testGateway{roots: x509.NewCertPool()}
	g.roots.AppendCertsFromPEM(site.AuthorityPEM)
	secrets, err := secret.New(secret.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.Swap(config); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	transport := h2.NewTransport(h2.TransportConfig{})
	g.relay = relay.New(relay.Config{
		Upstreams: upstream.New(upstream.Config{Log: log, Registerer: registry}), Other: http2{transport}, Log: log, Registerer: registry,
		Filters: filter.NewEnv(filter.Config{Keys: keys, Clock: time.Now, Log: log, Registerer: registry}),
	})
	if err := g.relay.Swap(config); err != nil {
		t.Fatal(err)
	}
	g.http2 = h2.NewServer(h2.Config{Handler: g.relay})
	server := engine.New(engine.Config{Handler: g.relay, HTTP2: g.http2.Serve, Log: log, Registerer: registry})
	t.Cleanup(func() {
		server.Close()
		g.http2.Close()
		g.relay.Wait()
		transport.Close()
	})
	listeners := []engine.Listener{{Address: "127.0.0.1:0"}, {Address: "localhost:0", TLS: secrets.Listener("secure")}}
	if err := server.SetListeners(t.Context(), listeners); err != nil {
		t.Fatal(err)
	}
	addresses := server.Addresses()
	g.plain, g.secure = addresses["127.0.0.1:0"].String(), addresses["localhost:0"].String()
	return g
}

// interopServer is gRPC's own test server.
func interopServer(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	grpc_testing.RegisterTestServiceServer(server, interop.NewTestServer())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// TestGRPCInterop runs gRPC's interoperability cases through the gateway, in
// plain text and over TLS on both sides. A case that fails ends the process:
// that is how the suite is written.
func TestGRPCInterop(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "tls"}[secure], func(t *testing.T) {
			site := pair()
			cluster := edge.Cluster{Protocol: edge.UpstreamHTTP2}
			var g *testGateway
			var cc *grpc.ClientConn
			var err error
			if secure {
				certificate, err := tls.X509KeyPair(site.CertificatePEM, site.KeyPEM)
				if err != nil {
					t.Fatal(err)
				}
				address := interopServer(t, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
				cluster.Endpoints = []edge.Endpoint{{Address: address, TLS: true}}
				cluster.TLS = &edge.ClusterTLS{Authority: string(site.AuthorityPEM)}
				g = startGateway(t, cluster)
			} else {
				cluster.Endpoints = []edge.Endpoint{{Address: interopServer(t)}}
				g = startGateway(t, cluster)
			}
			if secure {
				cc, err = grpc.NewClient(g.secure, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(g.roots, "localhost")))
			} else {
				cc, err = grpc.NewClient(g.plain, grpc.WithTransportCredentials(insecure.NewCredentials()))
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cc.Close() }()
			runInterop(t.Context(), t, cc)
		})
	}
}

func runInterop(ctx context.Context, t *testing.T, cc *grpc.ClientConn) {
	t.Helper()
	client := grpc_testing.NewTestServiceClient(cc)
	for name, do := range map[string]func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption){
		"empty_unary": interop.DoEmptyUnaryCall, "large_unary": interop.DoLargeUnaryCall,
		"client_streaming": interop.DoClientStreaming, "server_streaming": interop.DoServerStreaming,
		"ping_pong": interop.DoPingPong, "empty_stream": interop.DoEmptyStream,
		"timeout_on_sleeping_server":  interop.DoTimeoutOnSleepingServer,
		"cancel_after_begin":          doCancelAfterBegin(t),
		"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
		"custom_metadata":             interop.DoCustomMetadata,
		"status_code_and_message":     interop.DoStatusCodeAndMessage,
		"special_status_message":      interop.DoSpecialStatusMessage,
	} {
		t.Log(name)
		do(ctx, client)
	}
	t.Log("unimplemented_service, unimplemented_method")
	interop.DoUnimplementedService(ctx, grpc_testing.NewUnimplementedServiceClient(cc))
	interop.DoUnimplementedMethod(ctx, cc)
}

// doCancelAfterBegin is the suite's case of this name, which also ends the
// stream after it cancelled: on a busy machine the answer may then come before
// the client's own end.
func doCancelAfterBegin(t *testing.T) func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption) {
	return func(ctx context.Context, client grpc_testing.TestServiceClient, options ...grpc.CallOption) {
		ctx, cancel := context.WithCancel(ctx)
		stream, err := client.StreamingInputCall(ctx, options...)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := stream.RecvMsg(new(grpc_testing.StreamingInputCallResponse)); status.Code(err) != codes.Canceled {
			t.Errorf("got %v, want %v", err, codes.Canceled)
		}
	}
}

// TestRefusalsReachGRPCClientsAsTheirCodes: also where nothing answered.
func TestRefusalsReachGRPCClientsAsTheirCodes(t *testing.T) {
	g := startGateway(t, edge.Cluster{
		Protocol: edge.UpstreamHTTP2, Endpoints: []edge.Endpoint{{Address: interopServer(t)}},
	})
	cc, err := grpc.NewClient(g.plain, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close() }()
	client := grpc_testing.NewTestServiceClient(cc)
	call := func(t *testing.T, body int, want codes.Code) {
		t.Helper()
		request := &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: make([]byte, body)}}
		if _, err := client.UnaryCall(t.Context(), request); status.Code(err) != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	change := func(t *testing.T, edit func(*edge.Route, *edge.Cluster)) {
		t.Helper()
		old := g.relay.Current()
		route, cluster := old.Hosts[0].Routes[0], old.Clusters["c"]
		edit(&route, &cluster)
		config := &edge.Config{
			Release: "next", Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{route}}},
			Clusters: map[string]edge.Cluster{"c": cluster},
		}
		if err := g.relay.Swap(config); err != nil {
			t.Fatal(err)
		}
	}
	call(t, 1, codes.OK)
	change(t, func(r *edge.Route, _ *edge.Cluster) { r.Policy.MaxRequest = 1000 })
	call(t, 2000, codes.ResourceExhausted)
	change(t, func(_ *edge.Route, c *edge.Cluster) { c.Endpoints = []edge.Endpoint{{Address: "127.0.0.1:1"}} })
	call(t, 1, codes.Unavailable)
	change(t, func(_ *edge.Route, c *edge.Cluster) { c.Endpoints = nil })
	call(t, 1, codes.Unavailable)
	change(t, func(r *edge.Route, _ *edge.Cluster) { r.Path = "/elsewhere" })
	call(t, 1, codes.Unimplemented)
}

// TestHTTP1ClientsReachUpstreamsOfHTTP2 goes from one protocol to the other.
func TestHTTP1ClientsReachUpstreamsOfHTTP2(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" ")
		_, _ = io.Copy(w, r.Body)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	g := startGateway(t, edge.Cluster{
		Protocol: edge.UpstreamHTTP2, Endpoints: []edge.Endpoint{{Address: listener.Addr().String()}},
	})
	for _, body := range []string{"", "small"} {
		for _, known := range []bool{true, false} {
			reader := io.MultiReader(stringReader(body))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.plain+"/x", reader)
			if err != nil {
				t.Fatal(err)
			}
			if known {
				request.ContentLength = int64(len(body))
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || string(got) != "HTTP/2.0 "+body {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

type stringReader string

// Read implements io.Reader.
func (s stringReader) Read(p []byte) (int, error) { return copy(p, s), io.EOF }
