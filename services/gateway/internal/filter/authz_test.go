package filter_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

// guard is a real ext_authz service.
type guard struct {
	authv3.UnimplementedAuthorizationServer
	mu     sync.Mutex
	asked  *authv3.CheckRequest
	answer func(context.Context) (*authv3.CheckResponse, error)
}

func (g *guard) Check(ctx context.Context, asked *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	g.mu.Lock()
	g.asked = asked
	answer := g.answer
	g.mu.Unlock()
	return answer(ctx)
}

func newGuard(t *testing.T) (*guard, *house) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, g)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	h := newHouse(t, func(config *filter.Config) {
		config.Transport = func(cluster string) http.RoundTripper {
			if cluster != "guard" {
				t.Errorf("cluster %q is called", cluster)
			}
			return transport
		}
	})
	h.config.Clusters = map[string]edge.Cluster{"guard": {}}
	return g, h
}

// ask runs a request through a chain as the relay does.
func (h *house) ask(t *testing.T, c *filter.Chain, x *exchange.Exchange) (filter.Verdict, *exchange.Exchange) {
	t.Helper()
	verdict, x := h.run(c, x)
	if verdict == filter.Block {
		verdict = c.Block(t.Context(), x)
	}
	return verdict, x
}

func option(name, value string, change func(*corev3.HeaderValueOption)) *corev3.HeaderValueOption {
	o := &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
	if change != nil {
		change(o)
	}
	return o
}

func TestTheServiceIsToldOfTheRequest(t *testing.T) {
	g, h := newGuard(t)
	g.answer = func(context.Context) (*authv3.CheckResponse, error) { return &authv3.CheckResponse{}, nil }
	c := h.compile(t, edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard", Context: map[string]string{"tier": "1"}, MaxBody: 4}})
	x := request("POST /a/b?c=d", "X-A", "1", "x-a", "2", "Authorization", h.bearer(t, identity.Viewer, time.Hour), "X-Bad", "\xff")
	x.Client, x.Request.Length = &client{body: strings.NewReader("hello")}, 5
	verdict, x := h.ask(t, c, x)
	if verdict != filter.Next {
		t.Fatalf("%d: %s", x.Response.Status, x.Answer)
	}
	asked := g.asked.GetAttributes().GetRequest().GetHttp()
	headers := asked.GetHeaders()
	if asked.GetMethod() != "POST" || asked.GetPath() != "/a/b?c=d" || asked.GetHost() != "shop.example:8080" || asked.GetScheme() != "http" ||
		asked.GetProtocol() != "HTTP/1.1" || asked.GetSize() != 5 || asked.GetId() != string(x.ID) || asked.GetBody() != "hell" {
		t.Errorf("asked about %v", asked)
	}
	if headers["x-a"] != "1,2" || !strings.HasPrefix(headers["authorization"], "Bearer ") || headers["x-envoy-auth-partial-body"] != "true" || headers["backlot-principal"] != "" {
		t.Errorf("headers: %v", headers)
	}
	if g.asked.GetAttributes().GetContextExtensions()["tier"] != "1" || g.asked.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress() != "192.0.2.7" {
		t.Errorf("attributes: %v", g.asked.GetAttributes())
	}
	whole, err := io.ReadAll(readerOf{x})
	if err != nil || string(whole) != "hello" {
		t.Errorf("the body goes on as %q, %v", whole, err)
	}
	if x.Request.Fields.Has(exchange.Authorization) || get(x.Request.Fields, identity.Header) == "" {
		t.Errorf("the upstream sees %v", x.Request.Fields)
	}
	few := h.compile(t, edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard", Headers: []string{"X-A"}}})
	h.ask(t, few, request("GET /", "x-a", "1", "x-b", "2"))
	if headers := g.asked.GetAttributes().GetRequest().GetHttp().GetHeaders(); len(headers) != 5 || headers["x-a"] != "1" || headers[":path"] != "/" {
		t.Errorf("of named headers: %v", headers)
	}
}

type readerOf struct{ x *exchange.Exchange }

func (r readerOf) Read(p []byte) (int, error) { return r.x.ReadBody(p) }

func TestTheServiceEditsWhatItAllows(t *testing.T) {
	g, h := newGuard(t)
	g.answer = func(context.Context) (*authv3.CheckResponse, error) {
		return &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{
				option("x-user", "ann", nil),
				option("x-more", "2", func(o *corev3.HeaderValueOption) { o.Append = wrapperspb.Bool(true) }), //nolint:staticcheck // what older services say
				option("x-absent", "new", func(o *corev3.HeaderValueOption) { o.AppendAction = corev3.HeaderValueOption_ADD_IF_ABSENT }),
				option("x-more", "no", func(o *corev3.HeaderValueOption) { o.AppendAction = corev3.HeaderValueOption_ADD_IF_ABSENT }),
				option("authorization", "Basic internal", nil),
				option("backlot-principal", "forged", nil), option("content-length", "7", nil), option("x-split", "a\r\nb", nil),
			},
			HeadersToRemove:         []string{"x-secret", "backlot-principal", "transfer-encoding"},
			ResponseHeadersToAdd:    []*corev3.HeaderValueOption{option("set-cookie", "a=b", nil)},
			QueryParametersToSet:    []*corev3.QueryParameter{{Key: "user", Value: "ann b"}},
			QueryParametersToRemove: []string{"token"},
		}}}, nil
	}
	c := h.compile(t, edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard"}})
	verdict, x := h.ask(t, c, request("GET /x?token=1&q=2", "X-User", "forged", "x-more", "1", "x-secret", "s"))
	if verdict != filter.Next {
		t.Fatalf("%d: %s", x.Response.Status, x.Answer)
	}
	f := x.Request.Fields
	if get(f, "x-user") != "ann" || get(f, "x-secret") != "" || get(f, "x-absent") != "new" || get(f, "authorization") != "Basic internal" || get(f, "x-split") != "" || get(f, "content-length") != "" {
		t.Errorf("the upstream sees %v", f)
	}
	more := 0
	for i := range f {
		if f[i].ID != exchange.Removed && string(f[i].Name) == "x-more" {
			more++
		}
	}
	if p, err := h.keys.Verify(get(f, identity.Header)); more != 2 || err != nil || p.Kind != identity.Anonymous {
		t.Errorf("%d lines of x-more; principal %v, %v", more, p, err)
	}
	if string(x.Request.Query) != "q=2&user=ann+b" {
		t.Errorf("query is %q", x.Request.Query)
	}
	if c.Response(x); get(x.Response.Fields, "Set-Cookie") != "a=b" {
		t.Errorf("answer: %v", x.Response.Fields)
	}
}

func TestTheServiceDenies(t *testing.T) {
	g, h := newGuard(t)
	c := h.compile(t, edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard"}})
	for _, test := range []struct {
		answer *authv3.DeniedHttpResponse
		status int
		body   string
	}{
		{nil, 403, `{"code":"permission_denied","message":"not allowed"}`},
		{&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 302}, Headers: []*corev3.HeaderValueOption{option("location", "/login", nil)}}, 302, ""},
		{&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 401}, Body: "who are you?"}, 401, "who are you?"},
		{&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 100}}, 403, `{"code":"permission_denied","message":"not allowed"}`},
	} {
		g.mu.Lock()
		g.answer = func(context.Context) (*authv3.CheckResponse, error) {
			answer := &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.PermissionDenied)}}
			if test.answer != nil {
				answer.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: test.answer}
			}
			return answer, nil
		}
		g.mu.Unlock()
		verdict, x := h.ask(t, c, request("GET /x"))
		if verdict != filter.Answered || x.Response.Status != test.status || string(x.Answer) != test.body || x.Fault != "denied" || x.Response.Length != int64(len(test.body)) {
			t.Errorf("%v: %d %q %q", test.answer, x.Response.Status, x.Answer, x.Fault)
		}
		if test.status == 302 && get(x.Response.Fields, "Location") != "/login" {
			t.Errorf("answer: %v", x.Response.Fields)
		}
	}
}

func TestAServiceThatDoesNotAnswer(t *testing.T) {
	g, h := newGuard(t)
	closed := edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard", Timeout: 30 * time.Millisecond}}
	open := edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard", Timeout: 30 * time.Millisecond, AllowDown: true}}
	for name, answer := range map[string]func(context.Context) (*authv3.CheckResponse, error){
		"slow": func(ctx context.Context) (*authv3.CheckResponse, error) { <-ctx.Done(); return nil, ctx.Err() },
		"broken": func(context.Context) (*authv3.CheckResponse, error) {
			return nil, grpcstatus.Error(codes.Internal, "x")
		},
		"says so": func(context.Context) (*authv3.CheckResponse, error) {
			return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_ErrorResponse{ErrorResponse: &authv3.DeniedHttpResponse{}}}, nil
		},
	} {
		g.mu.Lock()
		g.answer = answer
		g.mu.Unlock()
		verdict, x := h.ask(t, h.compile(t, closed), request("GET /x"))
		if verdict != filter.Answered || x.Response.Status != 503 || x.Fault != "authz_down" || get(x.Response.Fields, "Retry-After") != "1" {
			t.Errorf("%s: verdict %d, %d %q", name, verdict, x.Response.Status, x.Fault)
		}
		if verdict, x = h.ask(t, h.compile(t, open), request("GET /x")); verdict != filter.Next {
			t.Errorf("%s, allowed: %d %s", name, x.Response.Status, x.Answer)
		}
	}
	if got := h.value(t, "backlot_gateway_policy_refusals_total", "authz_down", "r"); got != 3 {
		t.Errorf("%v refusals are counted", got)
	}
}

func TestABodyThatBreaksOffIsNotAskedAbout(t *testing.T) {
	g, h := newGuard(t)
	g.answer = func(context.Context) (*authv3.CheckResponse, error) { return &authv3.CheckResponse{}, nil }
	c := h.compile(t, edge.Policy{ExtAuthz: &edge.ExtAuthz{Cluster: "guard", MaxBody: 100}})
	for name, body := range map[string]io.Reader{
		"breaks off": io.MultiReader(strings.NewReader("hel"), broken{}), "ends": strings.NewReader("all of it"),
	} {
		x := request("POST /x")
		x.Client, x.Request.Length = &client{body: body}, exchange.Unknown
		verdict, x := h.ask(t, c, x)
		if name == "ends" {
			whole, err := io.ReadAll(readerOf{x})
			asked := g.asked.GetAttributes().GetRequest().GetHttp()
			if verdict != filter.Next || err != nil || string(whole) != "all of it" || asked.GetBody() != "all of it" || asked.GetHeaders()["x-envoy-auth-partial-body"] != "false" {
				t.Errorf("%s: %d, goes on as %q, %v; asked %v", name, verdict, whole, err, asked)
			}
			continue
		}
		if verdict != filter.Answered || x.Response.Status != 400 || x.Fault != "authz_body" || g.asked != nil && slices.Contains([]string{"hel"}, g.asked.GetAttributes().GetRequest().GetHttp().GetBody()) {
			t.Errorf("%s: %d %q", name, x.Response.Status, x.Fault)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("reset") }
