package rpc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/durationpb"

	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func TestSpansOfACallHangTogether(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	tracer := provider.Tracer("test")
	b := newBench(t, "kitex", ServerConfig{Tracer: tracer})
	b.client.Tracer = tracer
	b.reach(kitexOverTCP(t, b))
	seen := make(chan trace.SpanContext, 2)
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		seen <- trace.SpanContextFromContext(ctx)
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such video"))
	})
	conn := b.conn(t, nil)
	if _, err := get(t.Context(), conn); connect.CodeOf(err) != connect.CodeNotFound {
		t.Fatal(err)
	}
	ended := recorder.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	server, client, inside := ended[0], ended[1], <-seen
	if server.SpanKind() != trace.SpanKindServer || client.SpanKind() != trace.SpanKindClient ||
		server.Parent().SpanID() != client.SpanContext().SpanID() || !server.Parent().IsRemote() ||
		server.SpanContext().TraceID() != client.SpanContext().TraceID() || client.Parent().IsValid() ||
		inside.SpanID() != server.SpanContext().SpanID() {
		t.Errorf("server %v, client %v, inside %v", server, client, inside)
	}
	for _, span := range ended {
		if span.Name() != shopName+"/Get" || span.Status().Description != "not_found" || len(span.Attributes()) != 3 {
			t.Errorf("span %q: %v %v", span.Name(), span.Status(), span.Attributes())
		}
	}

	unsampled := client.SpanContext().WithTraceFlags(0)
	if _, err := get(trace.ContextWithSpanContext(t.Context(), unsampled), conn); connect.CodeOf(err) != connect.CodeNotFound {
		t.Fatal(err)
	}
	if inside = <-seen; len(recorder.Ended()) != 2 || inside.TraceID() != unsampled.TraceID() || inside.IsSampled() {
		t.Errorf("%d spans after an unsampled call, which the handler saw as %v", len(recorder.Ended()), inside)
	}
}

func TestCallsAreMeasured(t *testing.T) {
	b := newBench(t, "local", ServerConfig{})
	b.reach(Endpoint{Local: b.server})
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	conn := b.conn(t, func(c *ClientConfig) {
		c.Policies = func(string) *policyv1.CallPolicy {
			return &policyv1.CallPolicy{
				Retry:   &policyv1.Retry{MaxAttempts: 2, Backoff: durationpb.New(time.Microsecond)},
				Breaker: &policyv1.Breaker{MinCalls: 2},
			}
		}
	})
	for range 2 {
		_, err := get(t.Context(), conn)
		wantCode(t, err, connect.CodeUnavailable)
	}
	got := map[string]float64{}
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				if slices.Contains([]string{"code", "transport", "reason"}, label.GetName()) {
					name += " " + label.GetValue()
				}
			}
			got[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"backlot_rpc_server_duration_seconds unavailable local": 2,
		"backlot_rpc_client_duration_seconds unavailable local": 1,
		"backlot_rpc_client_duration_seconds unavailable none":  1,
		"backlot_rpc_client_retries_total":                      1,
		"backlot_rpc_client_breaker_open":                       1,
		"backlot_rpc_client_refused_total breaker":              1,
		"backlot_rpc_client_in_flight":                          0,
		"backlot_rpc_server_in_flight":                          0,
	} {
		if value, exists := got[name]; !exists || value != want {
			t.Errorf("%s is %v (exists: %v); want %v", name, value, exists, want)
		}
	}
	if problems, err := testutil.GatherAndLint(b.registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestServersAndClientsShareARegisterer(t *testing.T) {
	registry := prometheus.NewRegistry()
	first, second := NewServer(ServerConfig{Registerer: registry}), NewServer(ServerConfig{Registerer: registry})
	if first.metrics.duration != second.metrics.duration {
		t.Error("two servers have metrics of their own under one name")
	}
	NewDialer(ClientConfig{Registerer: registry})
	NewDialer(ClientConfig{Registerer: registry})
}

func TestTraceparentIsReadAsW3CSays(t *testing.T) {
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for text, valid := range map[string]bool{
		"00-" + id + "-" + parent + "-01":                       true,
		"00-" + id + "-" + parent + "-00":                       true,
		"00-" + id + "-" + parent + "-ff":                       true,
		"cc-" + id + "-" + parent + "-01-what-follows":          true,
		"cc-" + id + "-" + parent + "-01.":                      false,
		"00-" + id + "-" + parent + "-01-":                      false,
		"ff-" + id + "-" + parent + "-01":                       false,
		"00-" + id + "-" + parent + "-0":                        false,
		"00-00000000000000000000000000000000-" + parent + "-01": false,
		"00-" + id + "-0000000000000000-01":                     false,
		"00-0AF7651916CD43DD8448EB211C80319C-" + parent + "-01": false,
		"00_" + id + "-" + parent + "-01":                       false,
		"":                                                      false,
		"00-" + id + "-" + parent + "-0g":                       false,
	} {
		got, ok := parseTraceparent(text)
		if ok != valid {
			t.Errorf("%q: %v", text, ok)
		}
		if ok && (got.TraceID().String() != id || got.SpanID().String() != parent) {
			t.Errorf("%q: got %v", text, got)
		}
	}
	text := "00-" + id + "-" + parent + "-01"
	if allocations := testing.AllocsPerRun(100, func() { parseTraceparent(text) }); allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-x")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, ok := parseTraceparent(text)
		if !ok {
			return
		}
		again, ok := parseTraceparent(formatTraceparent(parsed))
		if !ok || !again.Equal(parsed) {
			t.Errorf("%q became %v, then %v", text, parsed, again)
		}
	})
}

func FuzzErrorFromKitex(f *testing.F) {
	f.Add(int32(9), "failed_precondition", "CAkSBm5vIHdheQ==")
	f.Add(int32(0), "", "")
	f.Fuzz(func(t *testing.T, code int32, message, encoded string) {
		err := fromStatus(code, message, encoded)
		var coded *connect.Error
		if !errors.As(err, &coded) || !connect.IsWireError(err) || coded.Code() < connect.CodeCanceled || coded.Code() > connect.CodeUnauthenticated {
			t.Errorf("%v", err)
		}
	})
}
