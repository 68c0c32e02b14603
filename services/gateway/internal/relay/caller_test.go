package relay_test

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// transport2 carries calls over our own HTTP/2.
type transport2 struct{ *h2.Transport }

func (t transport2) Open(ctx context.Context, x *exchange.Exchange, e *upstream.Endpoint, more bool) (relay.Call, error) {
	call, err := t.Transport.Open(ctx, x, e, more)
	if err != nil {
		return nil, err
	}
	return call, nil
}

func (transport2) Unprocessed(err error) bool { return h2.Unprocessed(err) }

func over2(t testing.TB) relay.Transport {
	t.Helper()
	transport := h2.NewTransport(h2.TransportConfig{})
	t.Cleanup(transport.Close)
	return transport2{transport}
}

// guard lets everybody pass but who asks for /api/secret.
type guard struct {
	authv3.UnimplementedAuthorizationServer
}

func (guard) Check(_ context.Context, asked *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	asks := asked.GetAttributes().GetRequest().GetHttp()
	if strings.HasSuffix(asks.GetPath(), "/secret") {
		return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.PermissionDenied)}}, nil
	}
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "authorization", Value: "saw " + asks.GetBody()}}},
	}}}, nil
}

func TestExternalAuthorizationGoesThroughAClusterOfItsOwn(t *testing.T) {
	b := newBench(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, guard{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stop := func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	b.config.Clusters["guard"] = edge.Cluster{
		Name: "guard", Protocol: edge.UpstreamHTTP2, Endpoints: []edge.Endpoint{{Address: listener.Addr().String()}},
		MaxRequests: 8, MaxConnections: 8,
	}
	b.config.Hosts[0].Routes[4].Policy.ExtAuthz = &edge.ExtAuthz{Cluster: "guard", MaxBody: 3}
	b.swap(t, b.config)
	for range 3 {
		if code, text, _ := b.do(t, http.MethodPost, "/api/x", "hello", nil); code != http.StatusOK || text != "/v1/x PRINCIPAL_ANONYMOUS  hello saw hel" {
			t.Errorf("allowed: %d %q", code, text)
		}
	}
	if code, _, _ := b.do(t, http.MethodGet, "/api/secret", "", nil); code != http.StatusForbidden {
		t.Errorf("denied: %d", code)
	}
	stop()
	if code, text, _ := b.do(t, http.MethodGet, "/api/x", "", nil); code != http.StatusServiceUnavailable {
		t.Errorf("with the service down: %d %s", code, text)
	}
}

func TestAnswersAreCompressed(t *testing.T) {
	b := newBench(t)
	b.config.Hosts[0].Routes[4].Policy.Compress = &edge.Compression{MinLength: 20}
	b.swap(t, b.config)
	for accept, want := range map[string]string{"gzip": "gzip", "identity": ""} {
		_, text, header := b.do(t, http.MethodPost, "/api/x", "hello", map[string]string{"Accept-Encoding": accept})
		if header.Get("Content-Encoding") != want || header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("%s: %v", accept, header)
		}
		if want == "gzip" {
			reader, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			text = string(plain)
		}
		if text != "/v1/x PRINCIPAL_ANONYMOUS  hello " {
			t.Errorf("%s: %q", accept, text)
		}
	}
}

// page is a handler's answer, in two parts.
func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	if r.URL.Path == "/page/broken" {
		_, _ = io.WriteString(w, strings.Repeat("never to be ended ", 1000))
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, strings.Repeat("first part ", 100))
	w.(http.Flusher).Flush()
	_, _ = io.WriteString(w, strings.Repeat("second part ", 100))
}

func TestAnswersOfTheConsoleAreCompressed(t *testing.T) {
	b := newBench(t)
	b.config.Hosts[0].Routes = append(b.config.Hosts[0].Routes, edge.Route{
		Name: "page", Path: "/page/", Target: edge.ToConsole, Policy: edge.Policy{Compress: &edge.Compression{}, MaxRequest: 64},
	})
	b.swap(t, b.config)
	for range 2 {
		_, text, header := b.do(t, http.MethodGet, "/page/x", "", map[string]string{"Accept-Encoding": "gzip"})
		if header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%v", header)
		}
		reader, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(reader); err != nil || !strings.HasSuffix(string(plain), "second part ") || len(plain) != 2300 {
			t.Errorf("%d bytes, %v", len(plain), err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/page/broken", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	if err == nil {
		t.Error("an answer that broke off ends well")
	}
}

func TestRateLimitsAnswerBeforeTheUpstream(t *testing.T) {
	b := newBench(t)
	b.config.Hosts[0].Routes[4].Policy.RateLimits = []edge.RateLimit{{Name: "few", Rate: 0.001, Burst: 2, Key: []edge.HashKey{{SourceIP: true}}}}
	b.swap(t, b.config)
	var codes [3]int
	var header http.Header
	for i := range codes {
		codes[i], _, header = b.do(t, http.MethodGet, "/api/x", "", nil)
	}
	if codes != [3]int{200, 200, 429} || header.Get("Retry-After") == "" || header.Get("RateLimit-Policy") != `"few";q=2;w=2000` {
		t.Errorf("%v, %v", codes, header)
	}
}
