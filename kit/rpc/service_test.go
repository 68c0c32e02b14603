package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/testcert"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// The service of these tests, with messages of the storefront.
type shopServer interface {
	Publish(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error)
	Get(context.Context, *storefrontv1.GetVideoRequest) (*storefrontv1.GetVideoResponse, error)
	List(context.Context, *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error)
}

type shopStreamServer interface {
	Watch(context.Context, *storefrontv1.GetVideoRequest, *connect.ServerStream[storefrontv1.GetVideoResponse]) error
}

const shopName = "backlot.test.v1.ShopService"

var shopDesc = rpcdesc.Service{Name: shopName, Methods: []rpcdesc.Method{
	rpcdesc.Unary(rpcdesc.Method{
		Service: shopName, Name: "Publish",
		Access: []rpcdesc.Principal{identity.Creator, identity.Service},
	}, shopServer.Publish),
	rpcdesc.Unary(rpcdesc.Method{
		Service: shopName, Name: "Get", Idempotency: connect.IdempotencyNoSideEffects,
		Access: []rpcdesc.Principal{identity.Viewer, identity.Service},
	}, shopServer.Get),
	rpcdesc.Unary(rpcdesc.Method{
		Service: shopName, Name: "List", Idempotency: connect.IdempotencyNoSideEffects,
		Access: []rpcdesc.Principal{identity.Anonymous, identity.Service},
	}, shopServer.List),
	rpcdesc.Stream(rpcdesc.Method{
		Service: shopName, Name: "Watch",
		Access: []rpcdesc.Principal{identity.Service},
	}, shopStreamServer.Watch),
}}

// shop is an implementation that a test gives its parts.
type shop struct {
	mu      sync.Mutex
	publish func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error)
	get     func(context.Context, *storefrontv1.GetVideoRequest) (*storefrontv1.GetVideoResponse, error)
	list    func(context.Context, *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error)
	watch   func(context.Context, *storefrontv1.GetVideoRequest, *connect.ServerStream[storefrontv1.GetVideoResponse]) error
}

func (s *shop) parts() shop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shop{publish: s.publish, get: s.get, list: s.list, watch: s.watch}
}

func (s *shop) Publish(ctx context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
	parts := s.parts()
	return parts.publish(ctx, req)
}

func (s *shop) Get(ctx context.Context, req *storefrontv1.GetVideoRequest) (*storefrontv1.GetVideoResponse, error) {
	parts := s.parts()
	return parts.get(ctx, req)
}

func (s *shop) List(ctx context.Context, req *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
	parts := s.parts()
	return parts.list(ctx, req)
}

func (s *shop) Watch(ctx context.Context, req *storefrontv1.GetVideoRequest, stream *connect.ServerStream[storefrontv1.GetVideoResponse]) error {
	parts := s.parts()
	return parts.watch(ctx, req, stream)
}

// gatedShop is a shop that is asked before messages are decoded.
type gatedShop struct {
	*shop
	admit func(context.Context, *rpcdesc.Method, int) error
}

func (g gatedShop) Admit(ctx context.Context, method *rpcdesc.Method, items int) (context.Context, func(), error) {
	return ctx, func() {}, g.admit(ctx, method, items)
}

// gatedKitex names the transport whose service is a gatedShop.
const gatedKitex = "kitex gated"

// bench is a server on one transport, and how to reach it.
type bench struct {
	name     string
	shop     *shop
	server   *Server
	registry *prometheus.Registry
	logs     *logBuffer
	client   ClientConfig
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func testKeys(t testing.TB, clock func() time.Time) *identity.Keys {
	t.Helper()
	file := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	keys, err := identity.ParseKeys([]byte(file), clock)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newBench(t testing.TB, name string, config ServerConfig) *bench {
	t.Helper()
	b := &bench{name: name, shop: new(shop), registry: prometheus.NewRegistry(), logs: new(logBuffer)}
	keys := testKeys(t, nil)
	config.Service = "shop"
	config.Log = slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config.Registerer = b.registry
	config.Verifier = keys
	b.server = NewServer(config)
	if name == gatedKitex {
		b.server.Handle(shopDesc, gatedShop{b.shop, func(context.Context, *rpcdesc.Method, int) error { return nil }})
	} else {
		b.server.Handle(shopDesc, b.shop)
	}
	b.client = ClientConfig{Service: "tester", Signer: keys, Registerer: b.registry}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.server.Shutdown(ctx); err != nil {
			t.Errorf("%s: shutdown: %v", name, err)
		}
	})
	return b
}

// serve runs a serving function until the test's server is shut down.
func (b *bench) serve(t testing.TB, listener net.Listener, serve func(net.Listener) error) string {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.server.Shutdown(ctx); err != nil {
			t.Errorf("%s: shutdown: %v", b.name, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: serve: %v", b.name, err)
		}
	})
	return addressOf(listener.Addr())
}

func (b *bench) reach(endpoint Endpoint) {
	b.client.Resolver = Static(map[string][]Endpoint{"shop": {endpoint}})
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// testMessageBytes is the limit of requests in overEach.
const testMessageBytes = 100_000

// overEach runs a test over every transport, with a server each.
func overEach(t *testing.T, run func(*testing.T, *bench)) {
	authority := testcert.New()
	serverTLS := &tls.Config{Certificates: []tls.Certificate{authority.Leaf("127.0.0.1").Pair()}}
	clientTLS := &tls.Config{RootCAs: authority.Roots()}
	for _, transport := range []struct {
		name   string
		config ServerConfig
		start  func(testing.TB, *bench) Endpoint
	}{
		{"local", ServerConfig{}, func(_ testing.TB, b *bench) Endpoint { return Endpoint{Local: b.server} }},
		{"connect http/1.1", ServerConfig{}, connectOverTCP},
		{"connect h2", ServerConfig{}, func(t testing.TB, b *bench) Endpoint {
			b.client.Protocols = new(http.Protocols)
			b.client.Protocols.SetUnencryptedHTTP2(true)
			return connectOverTCP(t, b)
		}},
		{"connect unix", ServerConfig{TLS: serverTLS}, func(t testing.TB, b *bench) Endpoint {
			return Endpoint{Address: b.serve(t, listen(t, "unix", filepath.Join(t.TempDir(), "s")), b.server.Serve), TLS: true}
		}},
		{"connect tls", ServerConfig{TLS: serverTLS}, connectOverTCP},
		{"kitex ttheader", ServerConfig{}, kitexOverTCP},
		{gatedKitex, ServerConfig{}, kitexOverTCP},
		{"kitex unix", ServerConfig{TLS: serverTLS}, func(t testing.TB, b *bench) Endpoint {
			return Endpoint{KitexAddress: b.serve(t, listen(t, "unix", filepath.Join(t.TempDir(), "s")), b.server.ServeKitex), TLS: true}
		}},
		{"kitex grpc tls", ServerConfig{TLS: serverTLS}, kitexOverTCP},
	} {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			transport.config.MaxMessageBytes = testMessageBytes
			b := newBench(t, transport.name, transport.config)
			b.client.TLS = clientTLS
			b.reach(transport.start(t, b))
			run(t, b)
		})
	}
}

func connectOverTCP(t testing.TB, b *bench) Endpoint {
	return Endpoint{Address: b.serve(t, listen(t, "tcp", "127.0.0.1:0"), b.server.Serve), TLS: b.server.config.TLS != nil}
}

func kitexOverTCP(t testing.TB, b *bench) Endpoint {
	return Endpoint{KitexAddress: b.serve(t, listen(t, "tcp", "127.0.0.1:0"), b.server.ServeKitex), TLS: b.server.config.TLS != nil}
}

// conn calls the bench's server by a Dialer of its own, configured further by
// change.
func (b *bench) conn(t testing.TB, change func(*ClientConfig)) rpcdesc.Conn {
	t.Helper()
	config := b.client
	if change != nil {
		change(&config)
	}
	dialer := NewDialer(config)
	t.Cleanup(func() {
		if err := dialer.Close(); err != nil {
			t.Errorf("%s: close: %v", b.name, err)
		}
	})
	return dialer.Conn("shop")
}

func publish(ctx context.Context, conn rpcdesc.Conn, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
	res := new(storefrontv1.PublishVideoResponse)
	return res, conn.Call(ctx, &shopDesc.Methods[0], req, res)
}

func get(ctx context.Context, conn rpcdesc.Conn) (*storefrontv1.GetVideoResponse, error) {
	res := new(storefrontv1.GetVideoResponse)
	return res, conn.Call(ctx, &shopDesc.Methods[1], &storefrontv1.GetVideoRequest{VideoId: "v"}, res)
}

func list(ctx context.Context, conn rpcdesc.Conn) (*storefrontv1.ListVideosResponse, error) {
	res := new(storefrontv1.ListVideosResponse)
	return res, conn.Call(ctx, &shopDesc.Methods[2], &storefrontv1.ListVideosRequest{}, res)
}

func validPublish() *storefrontv1.PublishVideoRequest {
	return &storefrontv1.PublishVideoRequest{
		VideoId: "v", Prices: []*moneyv1.Money{{Minor: 499, Currency: "EUR"}},
	}
}
