package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// reach is which addresses can be dialled.
type reach struct {
	mu    sync.Mutex
	down  map[string]bool
	dials map[string]int
}

func (r *reach) dial(_ context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials[address]++
	if r.down[address] {
		return nil, errors.New("refused")
	}
	near, far := net.Pipe()
	far.Close()
	return near, nil
}

func (r *reach) set(address string, down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down[address] = down
}

func TestHealthFollowsChecksByThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &reach{down: map[string]bool{"10.0.0.2:80": true}, dials: map[string]int{}}
		set := New(Config{Dial: net.dial, Seed: 3})
		settings := edge.Cluster{
			Endpoints: endpoints("10.0.0.1:80", "10.0.0.2:80"),
			Health:    &edge.HealthCheck{Interval: 10 * time.Second, Healthy: 2, Unhealthy: 3},
		}
		c := one(t, set, settings)
		good, bad := c.members[0].Endpoint, c.members[1].Endpoint
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = set.Run(ctx) })
		expect := func(when string, first, second bool) {
			t.Helper()
			synctest.Wait()
			if good.usable() != first || bad.usable() != second {
				t.Errorf("%s: usable are %v and %v, want %v and %v", when, good.usable(), bad.usable(), first, second)
			}
		}
		expect("before the first check", false, false)
		if got := len(picks(t, c, 100, 0)); got != 2 {
			t.Errorf("%d endpoints are used while nothing is known", got)
		}
		time.Sleep(time.Second)
		expect("after the first check", true, false)
		net.set("10.0.0.1:80", true)
		net.set("10.0.0.2:80", false)
		time.Sleep(13 * time.Second)
		expect("after one more", true, false)
		time.Sleep(20 * time.Second)
		expect("after three more", false, true)
		net.set("10.0.0.1:80", false)
		time.Sleep(25 * time.Second)
		expect("at the end", true, true)
		if n := net.dials["10.0.0.1:80"]; n < 6 || n > 7 {
			t.Errorf("%d checks within 59 s, want one each 9 to 11 s", n)
		}
		settings.Health = nil
		good.ailing.Store(true)
		if one(t, set, settings); !good.usable() {
			t.Error("an endpoint stays unhealthy though nothing checks it")
		}
		stop()
		running.Wait()
	})
}

func TestProbes(t *testing.T) {
	status, serving := 200, byte(1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health" && r.Host == "shop.internal":
			w.WriteHeader(status)
		case r.URL.Path == grpcHealth && r.ProtoMajor == 2:
			asked, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "Grpc-Status")
			w.Header().Set("Content-Type", "application/grpc")
			if string(asked) != "\x00\x00\x00\x00\x06\n\x04shop" {
				w.Header().Set("Grpc-Status", "5")
				return
			}
			_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, serving})
			w.Header().Set("Grpc-Status", "0")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	upstream := httptest.NewUnstartedServer(handler)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	upstream.Config.Protocols = protocols
	upstream.Start()
	t.Cleanup(upstream.Close)
	address := strings.TrimPrefix(upstream.URL, "http://")

	probe := func(h *edge.HealthCheck, p edge.Upstream) error {
		c := one(t, New(Config{}), edge.Cluster{Endpoints: endpoints(address), Health: h, Protocol: p})
		e := c.members[0].Endpoint
		defer e.retire()
		return e.probe(t.Context(), &c.settings)
	}
	asks := &edge.HealthCheck{Path: "/health", Host: "shop.internal"}
	grpc := &edge.HealthCheck{GRPC: true, Path: "shop"}
	for _, test := range []struct {
		name   string
		check  *edge.HealthCheck
		speaks edge.Upstream
		status int
		serves byte
		want   string
	}{
		{"http", asks, edge.UpstreamAuto, 200, 1, ""},
		{"http, no content", asks, edge.UpstreamAuto, 204, 1, ""},
		{"http/2", asks, edge.UpstreamHTTP2, 200, 1, ""},
		{"http, fails", asks, edge.UpstreamAuto, 503, 1, "answered 503"},
		{"http, other host", &edge.HealthCheck{Path: "/health"}, edge.UpstreamAuto, 200, 1, "answered 404"},
		{"http, status asked for", &edge.HealthCheck{Path: "/x", Statuses: []int{404}}, edge.UpstreamAuto, 200, 1, ""},
		{"tcp", &edge.HealthCheck{}, edge.UpstreamAuto, 500, 0, ""},
		{"grpc", grpc, edge.UpstreamAuto, 200, 1, ""},
		{"grpc, not serving", grpc, edge.UpstreamAuto, 200, 2, "serving status is 2"},
		{"grpc, unknown service", &edge.HealthCheck{GRPC: true}, edge.UpstreamAuto, 200, 1, `grpc-status "5"`},
	} {
		status, serving = test.status, test.serves
		err := probe(test.check, test.speaks)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error is %v, want %q", test.name, err, test.want)
		}
	}
}

func TestProbesSpeakTLS(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	roots := upstream.Client().Transport.(*http.Transport).TLSClientConfig
	for _, test := range []struct {
		speaks edge.Upstream
		good   bool
	}{{edge.UpstreamHTTP2, true}, {edge.UpstreamHTTP1, false}} {
		c := one(t, New(Config{TLS: roots}), edge.Cluster{
			Endpoints: []edge.Endpoint{{Address: upstream.Listener.Addr().String(), TLS: true}},
			Health:    &edge.HealthCheck{Path: "/"}, Protocol: test.speaks,
		})
		e := c.members[0].Endpoint
		if err := e.probe(t.Context(), &c.settings); (err == nil) != test.good {
			t.Errorf("protocol %d: error is %v", test.speaks, err)
		}
		e.retire()
	}
}

func FuzzHealthStatus(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 5, 0x12, 1, 'x', 8, 2})
	f.Add([]byte{0, 0, 0, 0, 1, 8})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if healthStatus(frame) != 0 && (len(frame) < 7 || int(binary.BigEndian.Uint32(frame[1:])) != len(frame)-5) {
			t.Errorf("a status is read of %x", frame)
		}
	})
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := one(t, New(Config{Registerer: registry, Dial: piped}), edge.Cluster{
		Endpoints: endpoints("10.0.0.1:80", "10.0.0.2:80"), Health: &edge.HealthCheck{}, Errors: &edge.ErrorBreaker{},
	})
	for range 2 {
		got, err := c.members[0].Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got.Keep()
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"connections c": 1, "idle_connections c": 1, "pending_requests c": 0, "connection_uses_total c reused": 1, "connection_uses_total c new": 1,
		"dials_total c made": 1, "endpoints c unhealthy": 2, "endpoints c usable": 0, "breaker_open c": 0, "in_flight_requests c": 0,
	} {
		if got, found := values[prefix+name]; !found || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, found, want)
		}
	}
	if len(values) > 40 {
		t.Errorf("%d series for a cluster", len(values))
	}
	c.group.closeIdle()
}
