package relay_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
)

// backend answers every request without a body by the same bytes.
func backend(tb testing.TB, answer string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(conn, []byte(answer))
		}
	}()
	return l.Addr().String()
}

func answerAll(conn net.Conn, answer []byte) {
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 16<<10)
	for at := 0; ; {
		n, err := conn.Read(buffer[at:])
		if err != nil {
			return
		}
		at += n
		if bytes.HasSuffix(buffer[:at], []byte("\r\n\r\n")) {
			at = 0
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

// plainConfig leads everything to one address.
func plainConfig(address string) *edge.Config {
	return &edge.Config{
		Clusters: map[string]edge.Cluster{"all": {Name: "all", Endpoints: []edge.Endpoint{{Address: address}}, MaxRequests: 1024, MaxConnections: 1024}},
		Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{{
			Name: "all", Path: "/", Cluster: "all",
			Policy: edge.Policy{Timeout: edge.DefaultTimeout, MaxRequest: edge.DefaultMaxRequest, MaxAttempts: 2},
		}}}},
	}
}

// gateway serves a configuration, and returns where.
func gateway(tb testing.TB, config *edge.Config) string {
	tb.Helper()
	_, address := gatewayOf(tb, config)
	return address
}

func gatewayOf(tb testing.TB, config *edge.Config) (*relay.Relay, string) {
	tb.Helper()
	r := newRelay(tb, prometheus.NewRegistry())
	if err := r.Swap(config); err != nil {
		tb.Fatal(err)
	}
	s := engine.New(engine.Config{Handler: r, Log: slog.New(slog.DiscardHandler)})
	tb.Cleanup(s.Close)
	if err := s.SetListeners(tb.Context(), []engine.Listener{{Address: "127.0.0.1:0"}}); err != nil {
		tb.Fatal(err)
	}
	return r, s.Addresses()["127.0.0.1:0"].String()
}

const smallRequest = "GET /128 HTTP/1.1\r\nHost: gateway\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"

var smallAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n" + strings.Repeat("x", 128)

func BenchmarkSmall(b *testing.B) {
	address := gateway(b, plainConfig(backend(b, smallAnswer)))
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		buffer := make([]byte, 4<<10)
		for pb.Next() {
			if _, err := io.WriteString(conn, smallRequest); err != nil {
				b.Error(err)
				return
			}
			for at := 0; !bytes.HasSuffix(buffer[:at], []byte("xxxx")); {
				n, err := conn.Read(buffer[at:])
				if err != nil {
					b.Error(err)
					return
				}
				at += n
			}
		}
	})
}

// BenchmarkPlan is what an event loop does for a small request beside its
// system calls: both heads parsed, decided about, rendered and counted.
func BenchmarkPlan(b *testing.B) {
	r := newRelay(b, prometheus.NewRegistry())
	if err := r.Swap(plainConfig("127.0.0.1:1")); err != nil {
		b.Fatal(err)
	}
	request, answer := []byte(smallRequest), []byte(smallAnswer)
	var x exchange.Exchange
	var out []byte
	began := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		x.Request.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)
		x.Began = began
		if _, err := h1.ParseRequest(request, &x.Request, h1.Limits{}); err != nil {
			b.Fatal(err)
		}
		plan := r.Decide(&x)
		if plan.Kind != relay.Forward {
			b.Fatal(plan.Kind)
		}
		out = h1.AppendRequest(out[:0], &x.Request, h1.RequestOptions{})
		if _, _, err := h1.ParseResponse(answer, &x.Response, x.Request.Method, h1.Limits{}); err != nil {
			b.Fatal(err)
		}
		r.Answered(&x, &plan)
		out = h1.AppendResponse(out[:0], &x.Response, h1.ResponseOptions{Protocol: x.Request.Protocol})
		r.Finish(&x, &plan)
		x.Reset()
	}
}

func TestThePlainPathDoesNotAllocate(t *testing.T) {
	address := gateway(t, plainConfig(backend(t, smallAnswer)))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	request, buffer := []byte(smallRequest), make([]byte, 512)
	once := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for at := 0; !bytes.HasSuffix(buffer[:at], []byte("xxxx")); {
			n, err := r.Read(buffer[at:])
			if err != nil {
				t.Fatal(err)
			}
			at += n
		}
	}
	once()
	// All goroutines are counted, the backend's and ours too: the lazy deadlines
	// and the sweeper leave a fraction.
	if n := testing.AllocsPerRun(2000, once); n >= 1 {
		t.Errorf("%v allocations a request", n)
	}
}
