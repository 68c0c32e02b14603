package filter_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-"
)

func TestRequestIDs(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{})
	uuid := regexp.MustCompile(`^0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, kept := range []string{"abcdefgh", "A-b_3" + strings.Repeat("x", 59)} {
		if _, x := h.run(c, request("GET /", "x-request-id", kept)); string(x.ID) != kept || get(x.Request.Fields, "X-Request-Id") != kept {
			t.Errorf("%q is not kept: %q", kept, x.ID)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 65), "with space", "line\nbreak", "ünicode-x"} {
		_, x := h.run(c, request("GET /", "x-request-id", bad))
		if !uuid.Match(x.ID) || seen[string(x.ID)] || get(x.Request.Fields, "X-Request-Id") != string(x.ID) {
			t.Errorf("for %q: %q", bad, x.ID)
		}
		seen[string(x.ID)] = true
	}
}

func TestREDMetricsByRoute(t *testing.T) {
	h := newHouse(t, nil)
	w := h.env.Watcher()
	c := h.compile(t, edge.Policy{})
	for _, status := range []int{200, 204, 404, 503, 0} {
		x := request("GET /")
		w.Begin(x)
		if got := h.value(t, "backlot_gateway_in_flight_requests"); got != 1 {
			t.Errorf("%v in flight", got)
		}
		x.Response.Status, x.Sent = status, 10
		w.End(x, c)
	}
	w.Begin(request("GET /"))
	w.End(request("GET /"), nil)
	for labels, want := range map[string]float64{"2xx,r": 2, "4xx,r": 1, "5xx,r": 1, "none,r": 1, "none,none": 1} {
		if got := h.value(t, "backlot_gateway_requests_total", strings.Split(labels, ",")...); got != want {
			t.Errorf("%s: %v, want %v", labels, got, want)
		}
	}
	if got := h.value(t, "backlot_gateway_sent_bytes_total", "r"); got != 50 {
		t.Errorf("%v bytes sent", got)
	}
	if got := h.value(t, "backlot_gateway_request_duration_seconds", "r"); got != 5 {
		t.Errorf("%v durations", got)
	}
}

func TestSeriesOfRoutesThatAreGoneAreForgotten(t *testing.T) {
	h := newHouse(t, nil)
	h.env.Watcher().End(request("GET /"), h.compile(t, edge.Policy{}))
	for range 4 {
		h.swap()
		if _, err := filter.Compile(&edge.Route{Name: "other"}, h.config, h.env); err != nil {
			t.Fatal(err)
		}
	}
	if h.value(t, "backlot_gateway_requests_total", "none", "r") != 1 {
		t.Error("forgotten too early")
	}
	h.swap()
	if _, err := filter.Compile(&edge.Route{Name: "other"}, h.config, h.env); err != nil {
		t.Fatal(err)
	}
	if h.value(t, "backlot_gateway_requests_total", "none", "r") != 0 {
		t.Error("kept forever")
	}
}

func TestTraceContext(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	for _, c := range []struct {
		ratio float64
		said  []string
		want  string // what the upstream sees
		spans int
	}{
		{-1, nil, `^ $`, 0},
		{-1, []string{"traceparent", parent + "01", "tracestate", "a=b"}, `^` + parent + `01 a=b$`, 0},
		{-1, []string{"traceparent", "nonsense", "tracestate", "a=b"}, `^ $`, 0},
		{0, []string{"traceparent", parent + "01"}, `^00-` + traceID + `-[0-9a-f]{16}-01 $`, 1},
		{0, nil, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00 $`, 0},
		{1, []string{"traceparent", parent + "00", "tracestate", "a=b"}, `^` + parent + `00 a=b$`, 0},
		{1, []string{"traceparent", parent + "01", "tracestate", "a=b"}, `^00-` + traceID + `-[0-9a-f]{16}-01 a=b$`, 1},
		{1, []string{"traceparent", parent + "01", "traceparent", parent + "01"}, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01 $`, 1},
		{1, nil, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01 $`, 1},
		{1e-18, []string{"traceparent", "nonsense", "tracestate", "a=b"}, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00 $`, 0},
	} {
		exporter.Reset()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.ratio))))
		h := newHouse(t, func(config *filter.Config) {
			config.Tracer, config.TraceRatio = provider.Tracer("t"), c.ratio
		})
		chain := h.compile(t, edge.Policy{})
		verdict, x := h.run(chain, request("GET /", c.said...))
		seen := get(x.Request.Fields, "traceparent") + " " + get(x.Request.Fields, "tracestate")
		if verdict != filter.Next || !regexp.MustCompile(c.want).MatchString(seen) || strings.HasPrefix(c.want, "^"+parent) && !strings.HasPrefix(seen, parent) {
			t.Errorf("ratio %v, %v: the upstream sees %q", c.ratio, c.said, seen)
		}
		x.Response.Status = 503
		h.now = h.now.Add(time.Second)
		h.env.Watcher().End(x, chain)
		spans := exporter.GetSpans()
		if len(spans) != c.spans {
			t.Fatalf("ratio %v, %v: %d spans", c.ratio, c.said, len(spans))
		}
		if c.spans == 1 {
			s := spans[0]
			if s.Name != "GET " || s.EndTime.Sub(s.StartTime) != time.Second || !strings.Contains(seen, s.SpanContext.SpanID().String()) || s.Status.Description != "Service Unavailable" {
				t.Errorf("span %q from %v to %v, status %q", s.Name, s.StartTime, s.EndTime, s.Status.Description)
			}
		}
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// FuzzTraceparent: what is passed on is well formed, whatever came.
func FuzzTraceparent(f *testing.F) {
	h := newHouse(f, nil)
	c := h.compile(f, edge.Policy{})
	good := regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$`)
	for _, seed := range []string{parent + "01", parent + "00-x", "01-" + traceID + "-b7ad6b7169203331-01-more", "ff-" + traceID + "-b7ad6b7169203331-01", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, x := h.run(c, request("GET /", "traceparent", text))
		seen := get(x.Request.Fields, "traceparent")
		if seen != "" && (seen != text || !good.MatchString(seen) || strings.HasPrefix(seen, "ff") || strings.Contains(seen, "-"+strings.Repeat("0", 32)) || strings.HasPrefix(seen, "00-") && len(seen) != 55) {
			t.Errorf("%q goes on as %q", text, seen)
		}
	})
}

func BenchmarkBeginEnd(b *testing.B) {
	h := newHouse(b, nil)
	c := h.compile(b, edge.Policy{})
	w := h.env.Watcher()
	for name, lines := range map[string][]string{"plain": nil, "traced": {"traceparent", parent + "00"}} {
		b.Run(name, func(b *testing.B) {
			x := request("GET /", lines...)
			fields := append(exchange.Fields(nil), x.Request.Fields...)
			b.ReportAllocs()
			for b.Loop() {
				x.Arena.Reset()
				x.Request.Fields = append(x.Request.Fields[:0], fields...)
				w.Begin(x)
				x.Response.Status = 200
				w.End(x, c)
			}
		})
	}
}
