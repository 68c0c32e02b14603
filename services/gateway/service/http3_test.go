package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/services/gateway/internal/adapt"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/h3"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/secret"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// quicGateway is the public side of a gateway whose one listener of the
// configuration speaks HTTP/3, before an upstream that speaks HTTP/1.1.
type quicGateway struct {
	*front
	t        *testing.T
	config   edge.Config
	registry *prometheus.Registry
}

func startQUIC(t *testing.T, origin http.HandlerFunc) *quicGateway {
	t.Helper()
	server := httptest.NewServer(origin)
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	keys, err := identity.ParseKeys([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := secret.New(secret.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := &front{address: "127.0.0.1:0", ctx: t.Context(), secrets: secrets, opened: true}
	f.relay = relay.New(relay.Config{
		Upstreams: upstream.New(upstream.Config{Log: log, Registerer: registry}), Log: log, Registerer: registry,
		Filters: filter.NewEnv(filter.Config{Keys: keys, Clock: time.Now, Log: log, Registerer: registry}),
	})
	f.http2 = h2.NewServer(h2.Config{Handler: f.relay})
	f.http1 = engine.New(engine.Config{Handler: f.relay, HTTP2: f.http2.Serve, MaxConnections: 8, Log: log, Registerer: registry})
	f.http3 = h3.New(h3.Config{
		Handler: &adapt.Server{Handler: f.relay, Protocol: exchange.HTTP3, BodyTimeout: time.Minute, WriteTimeout: time.Minute, Refused: f.relay.Refused},
		Enter:   f.http1.Enter, Left: f.http1.Left, MaxHeader: 16 << 10, DrainTime: 20 * time.Second, Log: log, Registerer: registry,
	})
	t.Cleanup(func() {
		f.http3.Close()
		f.http1.Close()
		f.http2.Close()
		f.relay.Wait()
		server.Close()
	})
	g := &quicGateway{front: f, t: t, registry: registry, config: edge.Config{
		Clusters:  map[string]edge.Cluster{"c": {Name: "c", Endpoints: []edge.Endpoint{{Address: server.Listener.Addr().String()}}}},
		Secrets:   map[string]edge.Secret{"site": pair()},
		Listeners: []edge.Listener{{Name: "secure", Address: testport.Address(t), TLS: &edge.ListenerTLS{Certificates: []string{"site"}, HTTP3: true}}},
		Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{{
			Name: "all", Path: "/", Cluster: "c", Policy: edge.Policy{MaxRequest: 1 << 20, MaxAttempts: 2},
		}}}},
	}}
	g.apply()
	return g
}

// apply puts the configuration in force, as the control plane's client does.
func (g *quicGateway) apply() {
	g.t.Helper()
	next := edge.Config{
		Release: "r", Clusters: g.config.Clusters, Secrets: g.config.Secrets, Listeners: g.config.Listeners, Hosts: g.config.Hosts,
	}
	if err := next.Check(); err != nil {
		g.t.Fatal(err)
	}
	next.Compile()
	if err := g.swap(&next); err != nil {
		g.t.Fatal(err)
	}
}

func (g *quicGateway) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(g.config.Secrets["site"].AuthorityPEM)
	return &tls.Config{RootCAs: roots}
}

func (g *quicGateway) url(path string) string {
	return "https://" + g.config.Listeners[0].Address + path
}

// client speaks HTTP/3 over a connection of its own.
func (g *quicGateway) client() *http.Client {
	transport := &http3.Transport{TLSClientConfig: g.tls(), QUICConfig: &quic.Config{HandshakeIdleTimeout: 10 * time.Second}}
	g.t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (g *quicGateway) gauge(name string) float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return 0
}

func get(t *testing.T, client *http.Client, address string) (*http.Response, string) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestHTTP3GoesByTheRoutes(t *testing.T) {
	g := startQUIC(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.Header().Set("Trailer", "X-End")
		_, _ = fmt.Fprintf(w, "%s %s %s %d %q %s %v", r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header.Get("Cookie"),
			r.Header.Get("X-Forwarded-Proto"), r.TransferEncoding)
		w.(http.Flusher).Flush()
		w.Header().Set("X-End", "yes")
	})
	client := g.client()
	request, _ := http.NewRequest(http.MethodGet, g.url("/a/b?c=%20d"), nil)
	request.Header.Set("Cookie", "a=1; b=2")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	want := fmt.Sprintf(`GET /a/b?c=%%20d %s 0 "a=1; b=2" https []`, g.config.Listeners[0].Address)
	if err != nil || string(body) != want {
		t.Errorf("got %s, %v, want %s", body, err, want)
	}
	if response.Proto != "HTTP/3.0" || strings.Join(response.Header["X-Two"], " ") != "1 2" || response.Trailer.Get("X-End") != "yes" ||
		response.Header.Get("X-Request-Id") == "" {
		t.Errorf("answer is %v, %v, %v", response.Proto, response.Header, response.Trailer)
	}
	if n := g.gauge("backlot_gateway_http3_requests_total"); n != 1 {
		t.Errorf("%v requests are counted", n)
	}
	head, err := client.Head(g.url("/"))
	if err != nil || head.StatusCode != http.StatusOK {
		t.Fatalf("HEAD: %v, %v", head, err)
	}
	_ = head.Body.Close()
}

func TestAnswersOverTCPAnnounceHTTP3(t *testing.T) {
	g := startQUIC(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Alt-Svc", "clear") })
	_, port, _ := net.SplitHostPort(g.config.Listeners[0].Address)
	for _, second := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: g.tls(), ForceAttemptHTTP2: second}
		response, _ := get(t, &http.Client{Transport: transport}, g.url("/"))
		if got := strings.Join(response.Header["Alt-Svc"], "|"); got != `h3=":`+port+`"; ma=86400` {
			t.Errorf("%s: Alt-Svc is %q", response.Proto, got)
		}
		transport.CloseIdleConnections()
	}
	plain := g.http1.Addresses()["127.0.0.1:0"].String()
	if response, _ := get(t, http.DefaultClient, "http://"+plain+"/"); response.Header.Get("Alt-Svc") != "clear" {
		t.Errorf("without TLS Alt-Svc is %q", response.Header.Get("Alt-Svc"))
	}
}

func TestHTTP3BodiesGoBothWaysAtOnce(t *testing.T) {
	g := startQUIC(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		piece := make([]byte, 4096)
		for {
			n, err := r.Body.Read(piece)
			_, _ = w.Write(piece[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	})
	client := g.client()
	reader, writer := io.Pipe()
	request, _ := http.NewRequest(http.MethodPost, g.url("/"), reader)
	go func() { _, _ = writer.Write([]byte("ping 0")) }()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for n := range 3 {
		got := make([]byte, 6)
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != fmt.Sprintf("ping %d", n) {
			t.Fatalf("got %q, %v", got, err)
		}
		_, _ = fmt.Fprintf(writer, "ping %d", n+1)
	}
	_ = writer.Close()
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "ping 3" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	echoed, err := client.Post(g.url("/"), "text/plain", bytes.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echoed.Body.Close() }()
	if got, err := io.ReadAll(echoed.Body); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(large), err)
	}
}

func TestHTTP3KeepsTheLimits(t *testing.T) {
	g := startQUIC(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	client := g.client()
	for name, body := range map[string]io.Reader{
		"announced": bytes.NewReader(make([]byte, 2<<20)), "streamed": struct{ io.Reader }{bytes.NewReader(make([]byte, 2<<20))},
	} {
		response, err := client.Post(g.url("/"), "text/plain", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status is %d", name, response.StatusCode)
		}
	}
	request, _ := http.NewRequest(http.MethodGet, g.url("/"), nil)
	request.Header.Set("X-Large", strings.Repeat("x", 20<<10))
	if response, err := client.Do(request); err == nil {
		if _ = response.Body.Close(); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a large head: status is %d", response.StatusCode)
		}
	}
	for range 12 {
		transport := &http3.Transport{TLSClientConfig: g.tls()}
		t.Cleanup(func() { _ = transport.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, g.url("/"), nil)
		if response, err := transport.RoundTrip(request); err == nil {
			_ = response.Body.Close()
		}
		cancel()
	}
	if n := g.gauge("backlot_gateway_http3_connections"); n != 8 {
		t.Errorf("%v connections are open, of 8 that may be", n)
	}
	if g.gauge("backlot_gateway_http3_connections_refused_total") == 0 {
		t.Error("no refused connection is counted")
	}
}

func TestHTTP3TakesNewCertificates(t *testing.T) {
	g := startQUIC(t, func(http.ResponseWriter, *http.Request) {})
	old := g.client()
	get(t, old, g.url("/"))
	stale := g.tls()
	g.config.Secrets = map[string]edge.Secret{"site": pair()}
	g.apply()
	get(t, old, g.url("/")) // the connection goes on
	get(t, g.client(), g.url("/"))
	transport := &http3.Transport{TLSClientConfig: stale}
	defer func() { _ = transport.Close() }()
	if _, err := (&http.Client{Transport: transport}).Get(g.url("/")); err == nil {
		t.Error("a handshake found the old certificate")
	}
}

func TestHTTP3ListenerThatIsTakenAwayIsDrained(t *testing.T) {
	began, finish := make(chan struct{}, 1), make(chan struct{})
	g := startQUIC(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-finish
		}
		_, _ = io.WriteString(w, "done")
	})
	client, address := g.client(), g.url("/")
	get(t, client, address)
	answer := make(chan string, 1)
	go func() {
		response, err := client.Get(address + "slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		answer <- strconv.Itoa(response.StatusCode) + string(body)
	}()
	<-began
	listeners := g.config.Listeners
	g.config.Listeners = nil
	g.apply()
	close(finish)
	if got := <-answer; got != "200done" {
		t.Errorf("a request under way got %q", got)
	}
	// The address is free again once the socket is drained, and taken then.
	for free := false; !free; {
		listener, err := net.Listen("tcp", listeners[0].Address)
		if free = err == nil; free {
			_ = listener.Close()
		}
	}
	g.config.Listeners = listeners
	g.apply()
	again := g.client()
	for deadline := time.Now().Add(15 * time.Second); ; {
		response, err := again.Get(g.url("/"))
		if err == nil {
			_ = response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not opened again: %v", err)
		}
		again = g.client()
	}
}

func TestDrainEndsHTTP3(t *testing.T) {
	began, finish := make(chan struct{}, 1), make(chan struct{})
	g := startQUIC(t, func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	client := g.client()
	answer := make(chan error, 1)
	go func() {
		response, err := client.Get(g.url("/"))
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		answer <- err
	}()
	<-began
	drained := make(chan error, 1)
	go func() { drained <- g.http3.Drain(t.Context()) }()
	close(finish)
	if err := <-answer; err != nil {
		t.Errorf("a request under way: %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := g.gauge("backlot_gateway_http3_connections"); n != 0 {
		t.Errorf("%v connections are left", n)
	}
	if g.http3.Alternative(g.config.Listeners[0].Address) != nil {
		t.Error("HTTP/3 is still announced")
	}
}
