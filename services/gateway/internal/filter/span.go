package filter

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/telemetry"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// beginTrace takes up the caller's trace, or begins one. A span is made only
// where the trace is sampled.
func (e *Env) beginTrace(x *exchange.Exchange) {
	parent, found := parseTraceparent(traceparent(x.Request.Fields))
	x.Trace = parent
	if e.config.Tracer == nil || e.config.TraceRatio < 0 {
		return
	}
	ctx := context.Background()
	switch {
	case found && !parent.Sampled:
		return
	case found:
		ctx = trace.ContextWithRemoteSpanContext(ctx, spanContext(x, &parent))
	default:
		binary.NativeEndian.PutUint64(x.Trace.ID[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(x.Trace.ID[8:], rand.Uint64()|1)
		binary.NativeEndian.PutUint64(x.Trace.Span[:], rand.Uint64()|1)
		if !telemetry.Sampled(x.Trace.ID, e.config.TraceRatio) {
			// What there is belongs to another trace, or to none.
			x.Request.Fields.Remove(exchange.Traceparent)
			x.Request.Fields.Remove(exchange.Tracestate)
			return
		}
		ctx = telemetry.WithTraceID(ctx, x.Trace.ID)
		x.Request.Fields.Remove(exchange.Tracestate)
	}
	_, span := e.config.Tracer.Start(ctx, methodWord(x.Request.Method),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.Began))
	x.Span, x.Trace.Sampled = span, span.SpanContext().IsSampled()
	x.Trace.ID, x.Trace.Span = span.SpanContext().TraceID(), span.SpanContext().SpanID()
}

// traceparent is the caller's, where it says one thing only.
func traceparent(fields exchange.Fields) []byte {
	var value []byte
	for i := range fields {
		if fields[i].ID != exchange.Traceparent {
			continue
		}
		if value != nil {
			return nil
		}
		value = fields[i].Value
	}
	return value
}

func spanContext(x *exchange.Exchange, parent *exchange.Trace) trace.SpanContext {
	config := trace.SpanContextConfig{TraceID: parent.ID, SpanID: parent.Span, TraceFlags: trace.FlagsSampled, Remote: true}
	if state, err := trace.ParseTraceState(string(x.Request.Fields.Get(exchange.Tracestate))); err == nil {
		config.TraceState = state
	}
	return trace.NewSpanContext(config)
}

// methodWord keeps the methods that there are; any other could be of a
// stranger's making.
func methodWord(method []byte) string {
	switch string(method) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodPut:
		return http.MethodPut
	case http.MethodPatch:
		return http.MethodPatch
	case http.MethodDelete:
		return http.MethodDelete
	case http.MethodHead:
		return http.MethodHead
	case http.MethodOptions:
		return http.MethodOptions
	case http.MethodConnect:
		return http.MethodConnect
	}
	return "_OTHER"
}

func endSpan(x *exchange.Exchange, end time.Time) {
	method, status := methodWord(x.Request.Method), x.Response.Status
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", method),
		attribute.Int("http.response.status_code", status),
	}
	if x.Route != nil {
		x.Span.SetName(method + " " + x.Route.Path)
		attributes = append(attributes, attribute.String("http.route", x.Route.Path), attribute.String("backlot.cluster", x.Cluster))
	}
	if x.Fault != "" {
		attributes = append(attributes, attribute.String("error.type", x.Fault))
	}
	x.Span.SetAttributes(attributes...)
	if status >= http.StatusInternalServerError {
		x.Span.SetStatus(codes.Error, http.StatusText(status))
	}
	x.Span.End(trace.WithTimestamp(end))
	x.Span = nil
}
