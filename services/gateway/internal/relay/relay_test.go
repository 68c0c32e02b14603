package relay_test

import (
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// bench is a gateway in front of a server that echoes what it is sent.
type bench struct {
	url      string
	handler  *relay.Relay
	keys     *identity.Keys
	signer   *token.Signer
	config   *edge.Config
	registry *prometheus.Registry
}

type shelf struct{}

func (shelf) ServeMedia(w http.ResponseWriter, _ *http.Request, bucket, object string) {
	_, _ = io.WriteString(w, bucket+":"+object)
}

func testKeys(tb testing.TB) *identity.Keys {
	tb.Helper()
	keys, err := identity.ParseKeys([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func newRelay(tb testing.TB, registry *prometheus.Registry) *relay.Relay {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	var r *relay.Relay
	r = relay.New(relay.Config{
		Upstreams: upstream.New(upstream.Config{Log: log, Registerer: registry}),
		Filters: filter.NewEnv(filter.Config{
			Keys: testKeys(tb), Clock: time.Now, Log: log, Registerer: registry,
			Transport: func(cluster string) http.RoundTripper { return r.Caller(cluster) },
		}),
		Media: shelf{}, Console: http.HandlerFunc(page), Other: over2(tb), Log: log, Registerer: registry,
	})
	return r
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{registry: prometheus.NewRegistry()}
	var err error
	if b.signer, err = token.OpenSigner(filepath.Join(t.TempDir(), "k"), "test", time.Now); err != nil {
		t.Fatal(err)
	}
	b.keys = testKeys(t)
	log := slog.New(slog.DiscardHandler)
	b.handler = newRelay(t, b.registry)
	server := engine.New(engine.Config{Handler: b.handler, Log: log, Registerer: b.registry})
	t.Cleanup(server.Close)
	if err := server.SetListeners(t.Context(), []engine.Listener{{Address: "127.0.0.1:0"}}); err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + server.Addresses()["127.0.0.1:0"].String()
	upstream := httptest.NewServer(http.HandlerFunc(b.echo))
	t.Cleanup(upstream.Close)
	policy := edge.Policy{Timeout: 2 * time.Second, MaxRequest: 64, MaxAttempts: 2}
	creators := policy
	creators.Principals = []identity.Kind{identity.Creator}
	slow := policy
	slow.Timeout = 20 * time.Millisecond
	b.config = &edge.Config{
		Release: "r1", Keys: []*identityv1.VerificationKey{b.signer.VerificationKey()},
		Clusters: map[string]edge.Cluster{
			"shop":  {Name: "shop", Endpoints: []edge.Endpoint{{Address: upstream.Listener.Addr().String()}}, MaxRequests: 8, MaxRetries: 8, ConnectTimeout: time.Second},
			"empty": {Name: "empty", MaxRequests: 8},
		},
		Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{
			{Name: "creators", Path: "/creators/", Cluster: "shop", Policy: creators},
			{Name: "slow", Path: "/slow", Cluster: "shop", Policy: slow},
			{Name: "empty", Path: "/empty", Cluster: "empty", Policy: policy},
			{Name: "media", Path: "/media/", Target: edge.ToMedia, Bucket: "media", Policy: policy},
			{Name: "api", Path: "/api/", Cluster: "shop", PrefixRewrite: "/v1/", Policy: policy},
		}}},
	}
	return b
}

func (b *bench) swap(t *testing.T, config *edge.Config) {
	t.Helper()
	if err := b.handler.Swap(config); err != nil {
		t.Fatal(err)
	}
}

// echo answers who the gateway says is calling, and where.
func (b *bench) echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		<-r.Context().Done()
		return
	}
	body, _ := io.ReadAll(r.Body)
	principal, err := b.keys.Verify(r.Header.Get(identity.Header))
	text := "no principal"
	if err == nil {
		text = principal.Kind.String() + " " + principal.ID
	}
	w.Header().Set(identity.Header, "leak")
	_, _ = io.WriteString(w, r.URL.Path+" "+text+" "+string(body)+" "+r.Header.Get("Authorization"))
}

func (b *bench) do(t *testing.T, method, path, body string, header map[string]string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		request.Header.Set(k, v)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func (b *bench) bearer(t *testing.T, kind identity.Kind, life time.Duration) map[string]string {
	t.Helper()
	text, err := b.signer.Token(identity.Principal{Kind: kind, ID: "someone", TenantID: "main", Expires: time.Now().Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"Authorization": "Bearer " + text}
}

func TestWithoutConfigurationTheGatewaySaysSo(t *testing.T) {
	b := newBench(t)
	if status, text, _ := b.do(t, http.MethodGet, "/api/x", "", nil); status != http.StatusServiceUnavailable || !strings.Contains(text, "no routes yet") {
		t.Errorf("got %d %s", status, text)
	}
}

func TestThePrincipalIsTheGatewaysWordOnly(t *testing.T) {
	b := newBench(t)
	b.swap(t, b.config)
	forged := map[string]string{identity.Header: "forged"}
	status, text, header := b.do(t, http.MethodPost, "/api/x", "hello", forged)
	if status != http.StatusOK || text != "/v1/x PRINCIPAL_ANONYMOUS  hello " {
		t.Errorf("anonymous: %d %q", status, text)
	}
	if header.Get(identity.Header) != "" || header.Get("X-Request-Id") == "" {
		t.Errorf("headers: %v", header)
	}
	if _, text, _ = b.do(t, http.MethodGet, "/api/x", "", b.bearer(t, identity.Viewer, time.Hour)); text != "/v1/x PRINCIPAL_VIEWER someone  " {
		t.Errorf("viewer: %q", text)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.swap(t, b.config)
	for name, c := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		text               string
	}{
		"forged token":            {"GET", "/api/x", "", map[string]string{"Authorization": "Bearer a.b.c"}, 401, "sign in again"},
		"expired token":           {"GET", "/api/x", "", b.bearer(t, identity.Viewer, -time.Minute), 401, "expired"},
		"other scheme":            {"GET", "/api/x", "", map[string]string{"Authorization": "Basic x"}, 401, "Bearer"},
		"not signed in":           {"GET", "/creators/x", "", nil, 401, "sign in first"},
		"wrong kind":              {"GET", "/creators/x", "", b.bearer(t, identity.Viewer, time.Hour), 403, "not open"},
		"no route":                {"GET", "/nowhere", "", nil, 404, "no route"},
		"no endpoint":             {"GET", "/empty", "", nil, 503, "no endpoint"},
		"too large":               {"POST", "/api/x", strings.Repeat("x", 65), nil, 413, "64 bytes"},
		"too slow":                {"GET", "/slow", "", nil, 504, "in time"},
		"forged media":            {"GET", "/media/AAAA/master.m3u8", "", nil, 403, "media address"},
		"media is read":           {"POST", "/media/AAAA/master.m3u8", "", nil, 405, "GET and HEAD"},
		"climbing path":           {"GET", "/api/..%2fsecret", "", nil, 400, "must not contain"},
		"path in its normal form": {"GET", "/api/%2e%2e/secret", "", nil, 404, "no route"},
		"media without it":        {"GET", "/media/", "", nil, 403, "media address"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text, _ := b.do(t, c.method, c.path, c.body, c.header)
			if status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("got %d %s, want %d with %q", status, text, c.status, c.text)
			}
		})
	}
}

func TestAMediaGrantOpensItsOwnPrefixOnly(t *testing.T) {
	b := newBench(t)
	b.swap(t, b.config)
	signed, err := b.signer.Media(&identityv1.MediaGrant{
		TenantId: "main", VideoId: "v", Prefix: "main/v/j/", ExpiresAt: time.Now().Add(time.Minute).UnixMicro(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, text, _ := b.do(t, http.MethodGet, "/media/"+signed+"/720p/1.m4s", "", nil); status != http.StatusOK || text != "media:main/v/j/720p/1.m4s" {
		t.Errorf("got %d %s", status, text)
	}
	if status, _, _ := b.do(t, http.MethodGet, "/media/"+signed+"/..%2fother/1.m4s", "", nil); status != http.StatusBadRequest {
		t.Errorf("climbing out of the prefix: %d", status)
	}
}

func TestARequestGoesToAnotherEndpointWhereTheFirstIsGone(t *testing.T) {
	b := newBench(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	shop := b.config.Clusters["shop"]
	shop.Endpoints = append([]edge.Endpoint{{Address: address}}, shop.Endpoints...)
	b.config.Clusters["shop"] = shop
	b.swap(t, b.config)
	for range 20 {
		if status, text, _ := b.do(t, http.MethodPost, "/api/x", "body", nil); status != http.StatusOK || !strings.Contains(text, "body") {
			t.Fatalf("got %d %s", status, text)
		}
	}
	if n := testutil.CollectAndCount(b.registry, "backlot_gateway_requests_total"); n == 0 {
		t.Error("requests are not counted")
	}
}

func TestASwapIsInForceForTheNextRequest(t *testing.T) {
	b := newBench(t)
	b.swap(t, b.config)
	b.do(t, http.MethodGet, "/api/x", "", nil)
	next := &edge.Config{Release: "r2", Clusters: b.config.Clusters, Keys: b.config.Keys}
	next.Hosts = []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{{
		Name: "all", Path: "/", Cluster: "shop", Policy: b.config.Hosts[0].Routes[4].Policy,
	}}}}
	b.swap(t, next)
	if status, text, _ := b.do(t, http.MethodGet, "/new", "", nil); status != http.StatusOK || !strings.HasPrefix(text, "/new ") {
		t.Errorf("got %d %s", status, text)
	}
	if b.handler.Current().Release != "r2" {
		t.Error("the old configuration is in force")
	}
}

// TestABreakerOpensForItsTimeAfterATimeout: that time begins when the try is
// given up, not when it was begun.
func TestABreakerOpensForItsTimeAfterATimeout(t *testing.T) {
	b := newBench(t)
	shop := b.config.Clusters["shop"]
	shop.Errors = &edge.ErrorBreaker{Minimum: 1, OpenFor: 950 * time.Millisecond}
	b.config.Clusters["shop"] = shop
	b.config.Hosts[0].Routes[1].Policy.Timeout = time.Second
	b.swap(t, b.config)
	if status, _, _ := b.do(t, "GET", "/slow", "", nil); status != http.StatusGatewayTimeout {
		t.Fatalf("status is %d", status)
	}
	if status, body, header := b.do(t, "GET", "/api/x", "", nil); status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" {
		t.Errorf("after the timeout: %d %s, Retry-After %q", status, body, header.Get("Retry-After"))
	}
}
