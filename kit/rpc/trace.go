package rpc

import (
	"context"
	"encoding/hex"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

const traceparentLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// span is a span that may not be there.
type span struct{ trace.Span }

// startServerSpan puts the caller's trace context into ctx. A span is made
// where the trace begins here or is sampled: a parent that is not sampled
// settles the matter before anything is allocated for it.
func startServerSpan(ctx context.Context, tracer trace.Tracer, c *call, method *rpcdesc.Method) (context.Context, span) {
	parent, valid := parseTraceparent(c.traceparent)
	if valid {
		if c.tracestate != "" {
			if state, err := trace.ParseTraceState(c.tracestate); err == nil {
				parent = parent.WithTraceState(state)
			}
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	return start(ctx, tracer, parent, method, trace.SpanKindServer)
}

// startClientSpan writes the trace context of ctx, or of a new span in it,
// into the call.
func startClientSpan(ctx context.Context, tracer trace.Tracer, c *call, method *rpcdesc.Method) (context.Context, span) {
	parent := trace.SpanContextFromContext(ctx)
	ctx, s := start(ctx, tracer, parent, method, trace.SpanKindClient)
	if s.Span != nil {
		parent = s.SpanContext()
	}
	if parent.IsValid() {
		c.traceparent = formatTraceparent(parent)
		c.tracestate = parent.TraceState().String()
	}
	return ctx, s
}

func start(ctx context.Context, tracer trace.Tracer, parent trace.SpanContext, method *rpcdesc.Method, kind trace.SpanKind) (context.Context, span) {
	if tracer == nil || parent.IsValid() && !parent.IsSampled() {
		return ctx, span{}
	}
	ctx, s := tracer.Start(ctx, method.Service+"/"+method.Name, trace.WithSpanKind(kind))
	if s.IsRecording() {
		s.SetAttributes(
			attribute.String("rpc.service", method.Service),
			attribute.String("rpc.method", method.Name),
		)
	}
	return ctx, span{s}
}

func (s span) end(err error) {
	if s.Span == nil {
		return
	}
	if err != nil && s.IsRecording() {
		code := connect.CodeOf(err).String()
		s.SetAttributes(attribute.String("rpc.connect_rpc.error_code", code))
		s.SetStatus(codes.Error, code)
	}
	s.End()
}

// parseTraceparent reads a W3C traceparent of version 00, or the part of a
// later version that looks like it. It does not allocate.
func parseTraceparent(text string) (trace.SpanContext, bool) {
	if len(text) < traceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return trace.SpanContext{}, false
	}
	if len(text) > traceparentLength && (text[:2] == "00" || text[traceparentLength] != '-') {
		return trace.SpanContext{}, false
	}
	var version, flags [1]byte
	config := trace.SpanContextConfig{Remote: true}
	if !decodeHex(version[:], text[:2]) || version[0] == 0xff ||
		!decodeHex(config.TraceID[:], text[3:35]) ||
		!decodeHex(config.SpanID[:], text[36:52]) ||
		!decodeHex(flags[:], text[53:55]) {
		return trace.SpanContext{}, false
	}
	config.TraceFlags = trace.TraceFlags(flags[0]) & trace.FlagsSampled
	parsed := trace.NewSpanContext(config)
	return parsed, parsed.IsValid()
}

// decodeHex decodes lower-case hexadecimal digits, two for each byte of dst.
func decodeHex(dst []byte, text string) bool {
	for i := range dst {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

func formatTraceparent(parent trace.SpanContext) string {
	text := make([]byte, 0, traceparentLength)
	traceID, spanID := parent.TraceID(), parent.SpanID()
	text = append(text, "00-"...)
	text = hex.AppendEncode(text, traceID[:])
	text = append(text, '-')
	text = hex.AppendEncode(text, spanID[:])
	text = append(text, '-')
	text = hex.AppendEncode(text, []byte{byte(parent.TraceFlags() & trace.FlagsSampled)})
	return string(text)
}
