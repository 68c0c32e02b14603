package rpc

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	validatev1 "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// TestConformance runs every case over every transport.
func TestConformance(t *testing.T) {
	cases := []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"success", caseSuccess},
		{"error", caseError},
		{"unknown error", caseUnknownError},
		{"panic", casePanic},
		{"validation", caseValidation},
		{"size", caseSize},
		{"retry later", caseRetryLater},
		{"deadline", caseDeadline},
		{"cancellation", caseCancellation},
		{"principal", casePrincipal},
		{"caller passed on", caseAsCaller},
		{"retry", caseRetry},
		{"no retry", caseNoRetry},
		{"breaker", caseBreaker},
		{"throttle", caseThrottle},
		{"trace", caseTrace},
		{"isolation", caseIsolation},
		{"isolation of an abandoned call", caseAbandoned},
		{"unimplemented", caseUnimplemented},
	}
	overEach(t, func(t *testing.T, b *bench) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { c.run(t, b) })
		}
	})
}

func (b *bench) onPublish(f func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error)) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	b.shop.publish = f
}

func (b *bench) onGet(f func(context.Context) (*storefrontv1.GetVideoResponse, error)) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	b.shop.get = func(ctx context.Context, _ *storefrontv1.GetVideoRequest) (*storefrontv1.GetVideoResponse, error) {
		return f(ctx)
	}
}

func video(title string) *storefrontv1.Video { return &storefrontv1.Video{Id: "v", Title: title} }

func wantCode(t *testing.T, err error, code connect.Code) *connect.Error {
	t.Helper()
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Code() != code {
		t.Fatalf("err = %v; want code %v", err, code)
	}
	return coded
}

func caseSuccess(t *testing.T, b *bench) {
	b.onPublish(func(_ context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		return &storefrontv1.PublishVideoResponse{Video: &storefrontv1.Video{Id: req.GetVideoId(), Price: req.GetPrices()[0]}}, nil
	})
	conn := b.conn(t, nil)
	for range 3 {
		res, err := publish(t.Context(), conn, validPublish())
		if err != nil {
			t.Fatal(err)
		}
		if got := res.GetVideo(); got.GetId() != "v" || got.GetPrice().GetMinor() != 499 || got.GetPrice().GetCurrency() != "EUR" {
			t.Errorf("got %v", got)
		}
	}
}

func caseError(t *testing.T, b *bench) {
	message := "solde insuffisant: 3 € manquent\nligne 2 \"x\""
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		err := connect.NewError(connect.CodeFailedPrecondition, errors.New(message))
		for _, minor := range []int64{300, 400} {
			detail, _ := connect.NewErrorDetail(&moneyv1.Money{Minor: minor, Currency: "EUR"})
			err.AddDetail(detail)
		}
		return nil, err
	})
	_, err := publish(t.Context(), b.conn(t, nil), validPublish())
	coded := wantCode(t, err, connect.CodeFailedPrecondition)
	if coded.Message() != message {
		t.Errorf("message %q", coded.Message())
	}
	var minors []int64
	for _, detail := range coded.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatal(err)
		}
		minors = append(minors, value.(*moneyv1.Money).GetMinor())
	}
	if len(minors) != 2 || minors[0] != 300 || minors[1] != 400 {
		t.Errorf("details %v", minors)
	}
	if !connect.IsWireError(err) {
		t.Error("the error is not marked as another service's")
	}
}

var errSecret = errors.New("dial tcp 10.1.2.3: password rejected")

func caseUnknownError(t *testing.T, b *bench) {
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		return nil, errSecret
	})
	before := strings.Count(b.logs.String(), errSecret.Error())
	_, err := publish(t.Context(), b.conn(t, nil), validPublish())
	if coded := wantCode(t, err, connect.CodeInternal); coded.Message() != "internal error" || errors.Is(err, errSecret) {
		t.Errorf("the caller learns %v", err)
	}
	if logged := strings.Count(b.logs.String(), errSecret.Error()) - before; logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, b.logs)
	}
}

func casePanic(t *testing.T, b *bench) {
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		panic("index out of shelf")
	})
	before := strings.Count(b.logs.String(), "panic: index out of shelf")
	_, err := publish(t.Context(), b.conn(t, nil), validPublish())
	if coded := wantCode(t, err, connect.CodeInternal); coded.Message() != "internal error" {
		t.Errorf("the caller learns %v", err)
	}
	if logged := strings.Count(b.logs.String(), "panic: index out of shelf") - before; logged != 1 {
		t.Errorf("logged %d times", logged)
	}
	caseSuccess(t, b)
}

func caseValidation(t *testing.T, b *bench) {
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		t.Error("an invalid request reached the handler")
		return nil, errSecret
	})
	req := validPublish()
	req.VideoId = ""
	req.Prices = append(req.Prices, &moneyv1.Money{Minor: 1, Currency: "euro"})
	_, err := publish(t.Context(), b.conn(t, nil), req)
	coded := wantCode(t, err, connect.CodeInvalidArgument)
	for _, part := range []string{"video_id: must be at least 1 character", "prices[1].currency: "} {
		if !strings.Contains(coded.Message(), part) {
			t.Errorf("message %q lacks %q", coded.Message(), part)
		}
	}
	if len(coded.Details()) != 1 {
		t.Fatalf("%d details", len(coded.Details()))
	}
	value, err := coded.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	if violations := value.(*validatev1.Violations).GetViolations(); len(violations) != 2 {
		t.Errorf("violations %v", violations)
	}
}

func caseSize(t *testing.T, b *bench) {
	caseSuccess(t, b)
	req := validPublish()
	req.VideoId = strings.Repeat("x", testMessageBytes)
	_, err := publish(t.Context(), b.conn(t, nil), req)
	wantCode(t, err, connect.CodeResourceExhausted)
	req.VideoId = req.VideoId[:testMessageBytes-1000]
	_, err = publish(t.Context(), b.conn(t, nil), req)
	wantCode(t, err, connect.CodeInvalidArgument)
	large := strings.Repeat("y", 2*testMessageBytes)
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		return &storefrontv1.GetVideoResponse{Video: video(large)}, nil
	})
	if res, err := get(t.Context(), b.conn(t, nil)); err != nil || len(res.GetVideo().GetTitle()) != len(large) {
		t.Errorf("a large response: %v", err)
	}
}

func caseTrace(t *testing.T, b *bench) {
	var seen atomic.Pointer[trace.SpanContext]
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		span := trace.SpanContextFromContext(ctx)
		seen.Store(&span)
		return &storefrontv1.GetVideoResponse{}, nil
	})
	parent, valid := parseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if !valid {
		t.Fatal("the parent is malformed")
	}
	state, _ := trace.ParseTraceState("vendor=a:1")
	parent = parent.WithTraceState(state)
	if _, err := get(trace.ContextWithSpanContext(t.Context(), parent), b.conn(t, nil)); err != nil {
		t.Fatal(err)
	}
	if span := seen.Load(); span.TraceID() != parent.TraceID() || span.SpanID() != parent.SpanID() ||
		!span.IsSampled() || !span.IsRemote() || span.TraceState().String() != "vendor=a:1" {
		t.Errorf("the handler saw %+v", span)
	}
	if _, err := get(t.Context(), b.conn(t, nil)); err != nil || seen.Load().IsValid() {
		t.Errorf("a call of no trace has %+v, %v", seen.Load(), err)
	}
}

func caseIsolation(t *testing.T, b *bench) {
	kept := make(chan *storefrontv1.PublishVideoRequest, 1)
	answer := &storefrontv1.PublishVideoResponse{Video: video("kept by the server")}
	b.onPublish(func(_ context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		kept <- req
		return answer, nil
	})
	req := validPublish()
	res, err := publish(t.Context(), b.conn(t, nil), req)
	if err != nil {
		t.Fatal(err)
	}
	req.Prices[0].Minor = 1
	res.Video.Title = "changed by the caller"
	if got := <-kept; got.GetPrices()[0].GetMinor() != 499 {
		t.Error("the handler sees the caller's later changes of the request")
	}
	if answer.GetVideo().GetTitle() != "kept by the server" {
		t.Error("the handler sees the caller's changes of the response")
	}
}

// caseAbandoned is for the race detector: the caller gives up and uses its
// messages while the handler still works on the call.
func caseAbandoned(t *testing.T, b *bench) {
	conn := b.conn(t, nil)
	b.warm(t, conn)
	ctx, abandon := context.WithCancel(t.Context())
	defer abandon()
	release, ended := make(chan struct{}), make(chan struct{})
	b.onPublish(func(_ context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		defer close(ended)
		abandon()
		<-release
		return &storefrontv1.PublishVideoResponse{Video: &storefrontv1.Video{Id: req.GetVideoId()}}, nil
	})
	req := validPublish()
	res, err := publish(ctx, conn, req)
	wantCode(t, err, connect.CodeCanceled)
	req.VideoId = "changed"
	res.Video = video("used by the caller")
	close(release)
	<-ended
	if res.GetVideo().GetId() != "v" {
		t.Error("the response of an abandoned call was filled")
	}
}

func caseUnimplemented(t *testing.T, b *bench) {
	unknown := shopDesc.Methods[1]
	unknown.Name = "Nothing"
	res := new(storefrontv1.GetVideoResponse)
	err := b.conn(t, nil).Call(t.Context(), &unknown, &storefrontv1.GetVideoRequest{VideoId: "v"}, res)
	wantCode(t, err, connect.CodeUnimplemented)
	err = b.conn(t, nil).Call(t.Context(), &shopDesc.Methods[3], &storefrontv1.GetVideoRequest{VideoId: "v"}, res)
	wantCode(t, err, connect.CodeUnimplemented)
}
