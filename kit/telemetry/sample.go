package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

type traceIDKey struct{}

// WithTraceID makes the next trace that is begun in ctx have this id, so that
// whether it is sampled can be told before anything is allocated for it.
func WithTraceID(ctx context.Context, id trace.TraceID) context.Context {
	return context.WithValue(ctx, traceIDKey{}, id)
}

// Sampled tells whether a trace of this id, begun here, is sampled at a ratio:
// the same as the tracer of NewTracing decides.
func Sampled(id trace.TraceID, ratio float64) bool {
	switch {
	case ratio <= 0:
		return false
	case ratio >= 1:
		return true
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(ratio*(1<<63))
}

// idGenerator draws ids, but for traces whose id is settled.
type idGenerator struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, settled := ctx.Value(traceIDKey{}).(trace.TraceID)
	for !settled || !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
		settled = true
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (idGenerator) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
