package relay

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

var propagator = propagation.TraceContext{}

// startSpan takes up the caller's trace, or begins one.
func (h *Handler) startSpan(r *http.Request, route *edge.Route) (context.Context, trace.Span) {
	ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := h.config.Tracer.Start(ctx, r.Method+" "+route.Path, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("http.route", route.Path),
			attribute.String("backlot.cluster", route.Cluster),
		)
	}
	return ctx, span
}

func endSpan(span trace.Span, status int) {
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
	span.End()
}

// propagate writes the trace context of ctx for the upstream.
func propagate(ctx context.Context, header http.Header) {
	propagator.Inject(ctx, propagation.HeaderCarrier(header))
}
