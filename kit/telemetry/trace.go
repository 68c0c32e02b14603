package telemetry

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TraceConfig says where spans go.
type TraceConfig struct {
	Program, Version string
	// Endpoint is an OTLP/HTTP address, `http://127.0.0.1:4318`; empty turns
	// tracing off: trace context is still passed on.
	Endpoint string
	// Ratio of the traces begun here that are sampled, 0 to 1.
	Ratio float64
}

// Tracing gives tracers and must be shut down.
type Tracing struct {
	trace.TracerProvider
	// Ratio of the traces begun here that are sampled; below 0 where tracing is
	// off.
	Ratio    float64
	shutdown func(context.Context) error
}

// maxQueuedSpans bounds the spans that wait for export.
const maxQueuedSpans = 4096

// NewTracing connects lazily: an endpoint that is down costs dropped spans,
// counted in backlot_telemetry_export_failures_total, not the start.
func NewTracing(ctx context.Context, cfg TraceConfig, registerer prometheus.Registerer) (*Tracing, error) {
	if cfg.Endpoint == "" {
		return &Tracing{noop.NewTracerProvider(), -1, func(context.Context) error { return nil }}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(cfg.Endpoint))
	if err != nil {
		return nil, fmt.Errorf("otlp-endpoint: %w", err)
	}
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "backlot_telemetry_export_failures_total",
		Help: "Batches of spans that could not be exported and were dropped.",
	})
	registerer.MustRegister(failures)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(countingExporter{exporter, failures}, sdktrace.WithMaxQueueSize(maxQueuedSpans)),
		sdktrace.WithIDGenerator(idGenerator{}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", cfg.Program),
			attribute.String("service.version", cfg.Version),
		)),
	)
	return &Tracing{provider, cfg.Ratio, provider.Shutdown}, nil
}

// Shutdown exports what is queued.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.shutdown(ctx) }

type countingExporter struct {
	sdktrace.SpanExporter
	failures prometheus.Counter
}

func (e countingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		e.failures.Inc()
	}
	return err
}
