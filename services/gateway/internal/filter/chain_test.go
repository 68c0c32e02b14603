package filter_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/accesslog"
)

// journey takes one exchange all the way through filters, as a request that is
// forwarded goes.
func journey(w *filter.Watcher, c *filter.Chain, x *exchange.Exchange, lines exchange.Fields) filter.Verdict {
	route := x.Route
	x.Reset()
	x.Route = route
	r := &x.Request
	r.Method, r.Path, r.Authority, r.Protocol = get1, path1, host1, exchange.HTTP11
	r.Fields = append(r.Fields[:0], lines...)
	w.Begin(x)
	verdict := c.Request(x)
	x.Response.Status, x.Response.Length, x.Sent = 200, 128, 128
	c.Response(x)
	if c.Encoder(x) != nil {
		panic("an answer without type is compressed")
	}
	w.End(x, c)
	return verdict
}

var (
	get1  = []byte("GET")
	path1 = []byte("/a/b")
	host1 = []byte("shop.example")
)

// policies are the policies of bench/gateway's `policies`, and those that cost
// nothing but a look.
func policies(h *house) (edge.Policy, exchange.Fields) {
	token := h.foreign(fmt.Sprintf(`{"iss":"https://i","sub":"ann","exp":%d,"plan":"gold"}`, h.now.Unix()+1<<30))
	x := request("GET /", "Authorization", "Bearer "+token, "User-Agent", "bench", "Accept-Encoding", "gzip", "Cookie", "a=b; sid=1")
	return edge.Policy{
		JWT:             &edge.JWT{Secret: "issuer", Issuer: "https://i", Forward: map[string]string{"plan": "X-Plan"}},
		RateLimits:      []edge.RateLimit{{Name: "a", Rate: 1e7, Burst: 1e7, Key: []edge.HashKey{{Subject: true}}}},
		Compress:        &edge.Compression{},
		CORS:            &edge.CORS{Origins: []string{"https://shop.example"}},
		ResponseHeaders: edge.HeaderEdits{Set: []edge.HeaderValue{{Name: "X-Route", Value: "%ROUTE%"}}},
	}, x.Request.Fields
}

func withAccessLog(tb testing.TB) func(*filter.Config) {
	return func(config *filter.Config) {
		log, err := accesslog.Open(accesslog.Config{
			Path: filepath.Join(tb.TempDir(), "access.log"), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			tb.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- log.Run(ctx) }()
		tb.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				tb.Error(err)
			}
		})
		config.AccessLog = log
	}
}

func TestTheWayThroughPoliciesAllocatesNothing(t *testing.T) {
	h := newHouse(t, withAccessLog(t))
	policy, lines := policies(h)
	c, w := h.compile(t, policy), h.env.Watcher()
	x := request("GET /")
	if n := testing.AllocsPerRun(200, func() {
		if journey(w, c, x, lines) != filter.Next {
			t.Fatalf("refused: %s", x.Answer)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a request that passes", n)
	}
	policy.RateLimits[0] = edge.RateLimit{Name: "a", Rate: 0.001, Burst: 1, Key: []edge.HashKey{{SourceIP: true}, {Subject: true}}}
	c = h.compile(t, policy)
	journey(w, c, x, lines)
	if n := testing.AllocsPerRun(200, func() {
		if journey(w, c, x, lines) != filter.Answered {
			t.Fatal("passes")
		}
	}); n > 2 {
		t.Errorf("%v allocations for a request that is refused", n)
	}
}

func BenchmarkChain(b *testing.B) {
	for name, of := range map[string]func(h *house) (edge.Policy, exchange.Fields){
		"plain": func(*house) (edge.Policy, exchange.Fields) {
			return edge.Policy{}, request("GET /", "User-Agent", "bench", "Accept-Encoding", "gzip").Request.Fields
		},
		"token": func(h *house) (edge.Policy, exchange.Fields) {
			return edge.Policy{Principals: []identity.Kind{identity.Viewer}},
				request("GET /", "User-Agent", "bench", "Authorization", h.bearer(b, identity.Viewer, time.Hour)).Request.Fields
		},
		"policies": policies,
	} {
		b.Run(name, func(b *testing.B) {
			var change func(*filter.Config)
			if name == "policies" {
				change = withAccessLog(b)
			}
			h := newHouse(b, change)
			policy, lines := of(h)
			c, w := h.compile(b, policy), h.env.Watcher()
			x := request("GET /")
			b.ReportAllocs()
			for b.Loop() {
				if journey(w, c, x, lines) != filter.Next {
					b.Fatalf("refused: %s", x.Answer)
				}
			}
		})
	}
}
