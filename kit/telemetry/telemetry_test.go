package telemetry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/telemetry"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestReadyzNamesThePartThatIsNot(t *testing.T) {
	var health telemetry.Health
	handler := health.Handler(telemetry.NewRegistry("test", "v0"))
	health.Set("storefront", func(context.Context) error { return errors.New("starting") })
	health.Set("rules", nil)

	code, body := get(t, handler, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, `"storefront":"starting"`) {
		t.Errorf("got %d %s", code, body)
	}
	health.Set("storefront", nil)
	if code, body = get(t, handler, "/readyz"); code != http.StatusOK {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ = get(t, handler, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	if _, body = get(t, handler, "/metrics"); !strings.Contains(body, `backlot_build_info{program="test",version="v0"} 1`) {
		t.Errorf("metrics lack the build: %.200s", body)
	}
}

func TestLoggerRefusesUnknownLevelAndFormat(t *testing.T) {
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "loud", "text"); err == nil || !strings.Contains(err.Error(), "log-level") {
		t.Errorf("err = %v", err)
	}
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "info", "xml"); err == nil || !strings.Contains(err.Error(), "log-format") {
		t.Errorf("err = %v", err)
	}
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "job_id", 7)
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"job_id":7`) {
		t.Errorf("wrote %s", got)
	}
}

func TestSpansReachTheCollector(t *testing.T) {
	received := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		received <- body.String()
	}))
	defer collector.Close()
	registry := prometheus.NewRegistry()
	tracing, err := telemetry.NewTracing(t.Context(),
		telemetry.TraceConfig{Program: "test", Endpoint: collector.URL, Ratio: 1}, registry)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Tracer("t").Start(t.Context(), "a span of ours")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := tracing.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if body := <-received; !strings.Contains(body, "a span of ours") {
		t.Error("the collector did not get the span")
	}
}

func TestSamplingIsToldBeforehand(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	for _, ratio := range []float64{0, 0.25, 1} {
		tracing, err := telemetry.NewTracing(t.Context(),
			telemetry.TraceConfig{Program: "test", Endpoint: collector.URL, Ratio: ratio}, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		sampled := 0
		for range 1000 {
			var id trace.TraceID
			_, _ = rand.Read(id[:])
			_, span := tracing.Tracer("t").Start(telemetry.WithTraceID(t.Context(), id), "x")
			if span.SpanContext().TraceID() != id {
				t.Fatal("the trace has another id")
			}
			if told := telemetry.Sampled(id, tracing.Ratio); told != span.SpanContext().IsSampled() {
				t.Fatalf("ratio %v: told %t, sampled %t", ratio, told, span.SpanContext().IsSampled())
			} else if told {
				sampled++
			}
			span.End()
		}
		if share := float64(sampled) / 1000; share < ratio-0.07 || share > ratio+0.07 {
			t.Errorf("ratio %v: %v were sampled", ratio, share)
		}
		if err := tracing.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
