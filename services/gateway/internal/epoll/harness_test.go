package epoll_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/epoll"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// gateway is a whole one, with or without event loops.
type gateway struct {
	t       *testing.T
	address string
	server  *engine.Server
	loops   *epoll.Set // nil: goroutines serve
	relay   *relay.Relay
	origin  *origin
	metrics *prometheus.Registry
	http2   atomic.Int64 // connections handed to HTTP/2
}

// onBoth runs a test on both engines.
func onBoth(t *testing.T, test func(t *testing.T, g *gateway)) {
	t.Helper()
	for _, name := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newGateway(t, name))
		})
	}
}

func engines() []string {
	if runtime.GOOS == "linux" {
		return []string{"goroutine", "epoll", "epoll busy"} // busy with or without events
	}
	return []string{"goroutine"}
}

func newGateway(t *testing.T, by string) *gateway {
	t.Helper()
	g := &gateway{t: t, metrics: prometheus.NewRegistry(), origin: newOrigin(t)}
	log := slog.New(slog.DiscardHandler)
	keys, err := identity.ParseKeys([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	upstreams := upstream.New(upstream.Config{Log: log, Registerer: g.metrics})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = upstreams.Run(ctx) })
	g.relay = relay.New(relay.Config{
		Upstreams: upstreams, Log: log, Registerer: g.metrics,
		Filters: filter.NewEnv(filter.Config{Keys: keys, Clock: time.Now, Log: log, Registerer: g.metrics}),
	})
	g.server = engine.New(engine.Config{
		Handler: g.relay, Refused: g.relay.Refused, Log: log, Registerer: g.metrics,
		HeaderTimeout: 2 * time.Second, IdleTimeout: 3 * time.Second, BodyTimeout: 2 * time.Second, WriteTimeout: 5 * time.Second,
		HTTP2: func(_ context.Context, nc net.Conn, read []byte, _ func() []byte) {
			g.http2.Add(1)
			_, _ = nc.Write(read)
		},
	})
	var set *epoll.Set
	if by != "goroutine" {
		config := epoll.Config{
			Relay: g.relay, Engine: g.server, Loops: 2, Log: log,
			HeaderTimeout: 2 * time.Second, IdleTimeout: 3 * time.Second, BodyTimeout: 2 * time.Second, WriteTimeout: 5 * time.Second,
		}
		if by == "epoll busy" {
			config.Always()
		}
		if set, err = epoll.New(config); err != nil {
			t.Fatal(err)
		}
		g.server.SetLoops(set)
		g.loops = set
	}
	t.Cleanup(func() {
		if set != nil {
			set.Close()
		}
		g.server.Close()
		g.relay.Wait()
		cancel()
		running.Wait()
	})
	if err := g.server.SetListeners(t.Context(), []engine.Listener{{Address: "127.0.0.1:0"}}); err != nil {
		t.Fatal(err)
	}
	g.address = g.server.Addresses()["127.0.0.1:0"].String()
	g.swap(g.build())
	return g
}

// build makes a configuration.
func (g *gateway) build() *edge.Config {
	policy := edge.Policy{Timeout: 30 * time.Second, MaxRequest: 4 << 20, MaxAttempts: 2, IdleTimeout: 10 * time.Second}
	patient := policy
	patient.Timeout, patient.IdleTimeout = 8*time.Second, 0
	short := policy
	short.Timeout = 100 * time.Millisecond
	cluster := func(name string, addresses ...string) edge.Cluster {
		c := edge.Cluster{Name: name, ConnectTimeout: time.Second, MaxConnections: 64, MaxPending: 64, MaxRequests: 64, MaxRetries: 16, RetryBudget: 1}
		for _, address := range addresses {
			c.Endpoints = append(c.Endpoints, edge.Endpoint{Address: address})
		}
		return c
	}
	full := cluster("full", g.origin.address)
	full.MaxRequests = 1
	narrow := cluster("narrow", g.origin.address)
	narrow.MaxConnections = 1
	_, port, _ := net.SplitHostPort(g.origin.address)
	return &edge.Config{
		Release: "r1",
		Clusters: map[string]edge.Cluster{
			"origin": cluster("origin", g.origin.address), "nobody": cluster("nobody"), "dead": cluster("dead", g.origin.dead),
			"half": cluster("half", g.origin.dead, g.origin.address), "full": full, "narrow": narrow,
			"named": cluster("named", "localhost:"+port),
		},
		Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{
			{Name: "nobody", Path: "/nobody", Cluster: "nobody", Policy: policy},
			{Name: "dead", Path: "/dead", Cluster: "dead", Policy: policy},
			{Name: "half", Path: "/half", Cluster: "half", PrefixRewrite: "/echo", Policy: policy},
			{Name: "full", Path: "/full", Cluster: "full", PrefixRewrite: "/echo", Policy: policy},
			{Name: "narrow", Path: "/narrow", Cluster: "narrow", PrefixRewrite: "/echo", Policy: policy},
			{Name: "named", Path: "/named", Cluster: "named", PrefixRewrite: "/echo", Policy: policy},
			{Name: "patient", Path: "/patient/", Cluster: "origin", PrefixRewrite: "/pause/", Policy: patient},
			{Name: "short", Path: "/short", Cluster: "origin", PrefixRewrite: "/never", Policy: short},
			{Name: "gone", Path: "/gone", Target: edge.ToAnswer, Answer: &edge.Answer{Status: 410, Body: []byte("gone\n"), ContentType: "text/plain"}, Policy: policy},
			{Name: "all", Path: "/", Cluster: "origin", Policy: policy},
		}}},
	}
}

func (g *gateway) swap(config *edge.Config) {
	g.t.Helper()
	if err := g.relay.Swap(config); err != nil {
		g.t.Error(err)
	}
}

// origin is a server behind the gateway that does what paths say.
type origin struct {
	address string
	dead    string // where nobody listens
	mu      sync.Mutex
	begun   map[string]int // requests that wait, by their paths
	closed  map[string]int // by what they were: connections seen to end early
	conns   atomic.Int64   // made
	release chan struct{}  // ends /wait
	step    chan struct{}  // goes on in /steps
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{begun: map[string]int{}, closed: map[string]int{}, release: make(chan struct{}), step: make(chan struct{})}
	o.dead = "127.0.0.1:1" // that no system hands out
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = listener.Addr().String()
	var conns sync.WaitGroup
	var open sync.Map
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			open.Store(nc, true)
			conns.Go(func() {
				o.serve(nc)
				_ = nc.Close()
				open.Delete(nc)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		loop.Wait()
		open.Range(func(nc, _ any) bool { return nc.(net.Conn).Close() == nil || true })
		select {
		case <-o.release:
		default:
			close(o.release)
		}
		conns.Wait()
	})
	return o
}

// content is n bytes that can be told from others.
func content(n int) []byte {
	if made, found := contents.Load(n); found {
		return made.([]byte)
	}
	b := make([]byte, n)
	x := uint32(n) | 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	contents.Store(n, b)
	return b
}

var contents sync.Map // by length

// serve answers requests in raw bytes, so that framing is in its hands.
func (o *origin) serve(nc net.Conn) {
	reader := bufio.NewReader(nc)
	for uses := 0; ; uses++ {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		path, argument, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, _ := strconv.Atoi(argument)
		var text string
		switch path {
		case "echo":
			sum := sha256.Sum256(body)
			text = fmt.Sprintf("%s %s %d %x", r.Method, r.URL.RequestURI(), len(body), sum[:4])
			text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Host: %s\r\n\r\n%s", len(text), r.Host, text)
			if r.Method == http.MethodHead {
				text = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
			}
		case "bytes":
			text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, content(n))
		case "chunks":
			text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
			for b := content(n); len(b) > 0; {
				size := min(len(b), 1+len(b)/3)
				text += fmt.Sprintf("%x;a=b\r\n%s\r\n", size, b[:size])
				b = b[size:]
			}
			text += "0\r\nX-Sum: 1\r\n\r\n"
		case "chunk": // one, and the end, in one write
			text = fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, content(n))
		case "close":
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\n\r\n%s", content(n))
			return
		case "pause": // in the middle of a body
			body := content(n)
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body[:n/8])
			<-time.After(700 * time.Millisecond)
			text = string(body[n/8:])
		case "steps": // a half, a little more and the rest, each when it is asked for
			body := content(n)
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body[:n/2])
			o.awaitStep()
			_, _ = nc.Write(body[n/2 : n/2+little])
			o.awaitStep()
			text = string(body[n/2+little:])
		case "status":
			text = fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", n)
			if n == 204 || n == 304 {
				text = fmt.Sprintf("HTTP/1.1 %d X\r\n\r\n", n)
			}
		case "hints":
			text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		case "stale": // answers once, then closes without a word
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+strconv.Itoa(uses%10))
			if _, err := reader.Peek(1); err == nil {
				return
			}
			return
		case "drop":
			return
		case "garbage":
			text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
		case "cut": // in the middle of a body
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, content(n/2))
			return
		case "cutchunk":
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe")
			return
		case "extra": // more than it said
			text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
		case "never":
			o.begin("never")
			_, err := reader.Peek(1)
			o.count("never", err)
			return
		case "wait":
			o.begin("wait")
			<-o.release
			text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		case "endless":
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
			block := content(64 << 10)
			sent := 0
			for {
				n, err := nc.Write(block)
				if sent += n; err != nil {
					o.count("endless", err)
					return
				}
			}
		case "upgrade":
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
			_, _ = io.Copy(nc, reader)
			return
		default:
			text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
		}
		if _, err := io.WriteString(nc, text); err != nil {
			return
		}
	}
}

// little is what /steps sends in the middle.
const little = 1000

// awaitStep waits until the test asks for more, or ends.
func (o *origin) awaitStep() {
	select {
	case <-o.step:
	case <-o.release:
	}
}

func (o *origin) begin(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun[what]++
}

// arrived waits for a request.
func (o *origin) arrived(t *testing.T, what string) {
	t.Helper()
	eventually(t, what+" has arrived", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.begun[what] > 0
	})
}

func (o *origin) count(what string, err error) {
	if err != nil {
		o.mu.Lock()
		o.closed[what]++
		o.mu.Unlock()
	}
}

// eventually waits for something that other goroutines bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("not in 20 s: %s", what)
}

// client is a raw connection to the gateway.
type client struct {
	t *testing.T
	net.Conn
	reader *bufio.Reader
}

func (g *gateway) dial(t *testing.T) *client {
	t.Helper()
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		r, body, _ := c.answer("GET")
		c.t.Fatalf("send: %v; was answered %v %q", err, r, body)
	}
}

// answer reads one; its body is whole, or the error says why not.
func (c *client) answer(method string) (*http.Response, []byte, error) {
	c.t.Helper()
	r, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r.Body)
	return r, body, err
}

// expect reads an answer and compares.
func (c *client) expect(method string, status int, body string) *http.Response {
	c.t.Helper()
	r, got, err := c.answer(method)
	if err != nil {
		c.t.Fatalf("answer: %v", err)
	}
	if r.StatusCode != status || !bytes.Contains(got, []byte(body)) {
		c.t.Fatalf("got %d %.100q, want %d %.100q", r.StatusCode, got, status, body)
	}
	return r
}

// ended expects the connection to be closed.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.reader); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

// gauge is the sum of a metric over its labels.
func (g *gateway) gauge(name string) float64 {
	families, err := g.metrics.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum
}
