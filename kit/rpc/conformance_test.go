package rpc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	validatev1 "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
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
		{"deadline", caseDeadline},
		{"cancellation", caseCancellation},
		{"principal", casePrincipal},
		{"caller passed on", caseAsCaller},
		{"retry", caseRetry},
		{"no retry", caseNoRetry},
		{"breaker", caseBreaker},
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

func caseDeadline(t *testing.T, b *bench) {
	var policy atomic.Pointer[policyv1.CallPolicy]
	conn := b.conn(t, func(c *ClientConfig) {
		c.Policies = func(string) *policyv1.CallPolicy { return policy.Load() }
	})
	b.warm(t, conn)
	policy.Store(&policyv1.CallPolicy{Timeout: durationpb.New(100 * time.Millisecond)})
	begin := time.Now()
	left, err := b.untilDeadline(t.Context(), conn)
	wantCode(t, err, connect.CodeDeadlineExceeded)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if left > 100*time.Millisecond || left <= 0 {
		t.Errorf("the handler had %v", left)
	}
	policy.Store(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	left, err = b.untilDeadline(ctx, conn)
	wantCode(t, err, connect.CodeDeadlineExceeded)
	if left > 100*time.Millisecond || left <= 0 {
		t.Errorf("the handler had %v", left)
	}
}

// warm connects.
func (b *bench) warm(t *testing.T, conn rpcdesc.Conn) {
	t.Helper()
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		return &storefrontv1.GetVideoResponse{}, nil
	})
	if _, err := get(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
}

// untilDeadline calls a handler that lasts until its context ends, and returns
// the time that this one gave it; negative: the context did not end in time.
func (b *bench) untilDeadline(ctx context.Context, conn rpcdesc.Conn) (left time.Duration, err error) {
	handled := make(chan time.Duration, 1)
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		deadline, _ := ctx.Deadline()
		given := time.Until(deadline)
		<-ctx.Done()
		handled <- given
		return nil, ctx.Err()
	})
	_, err = get(ctx, conn)
	select {
	case left = <-handled:
		return left, err
	case <-time.After(3 * time.Second):
		return -1, err
	}
}

func caseCancellation(t *testing.T, b *bench) {
	conn := b.conn(t, nil)
	b.warm(t, conn)
	ctx, cancel := context.WithCancel(t.Context())
	entered, release := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		close(entered)
		select {
		case <-ctx.Done():
		case <-release:
		}
		close(ended)
		return &storefrontv1.GetVideoResponse{}, nil
	})
	go func() {
		<-entered
		cancel()
	}()
	_, err := get(ctx, conn)
	wantCode(t, err, connect.CodeCanceled)
	if strings.HasPrefix(b.name, "kitex") && !strings.Contains(b.name, "grpc") {
		close(release) // TTHeader has no way to tell the server
	}
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("the handler was not told")
	}
}

// wrongSigner gives the token that a test wants.
type wrongSigner string

func (s wrongSigner) Sign(identity.Principal) (string, error) { return string(s), nil }

func casePrincipal(t *testing.T, b *bench) {
	var seen atomic.Pointer[identity.Principal]
	record := func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		principal, _ := identity.From(ctx)
		seen.Store(&principal)
		return &storefrontv1.GetVideoResponse{}, nil
	}
	b.onGet(record)
	b.shop.mu.Lock()
	b.shop.list = func(ctx context.Context, _ *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
		_, err := record(ctx)
		return &storefrontv1.ListVideosResponse{}, err
	}
	b.shop.mu.Unlock()
	with := func(signer Signer) func(*ClientConfig) { return func(c *ClientConfig) { c.Signer = signer } }

	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Viewer, ID: "x", TenantID: "studio"})
	if _, err := get(ctx, b.conn(t, nil)); err != nil {
		t.Fatal(err)
	}
	if p := seen.Load(); p.Kind != identity.Service || p.ID != "tester" || p.TenantID != "studio" {
		t.Errorf("the handler saw %+v", p)
	}
	_, err := get(t.Context(), b.conn(t, with(nil)))
	wantCode(t, err, connect.CodeUnauthenticated)
	if _, err := list(t.Context(), b.conn(t, with(nil))); err != nil {
		t.Errorf("anonymous call: %v", err)
	}
	if p := seen.Load(); p.Kind != identity.Anonymous || p.TenantID != identity.DefaultTenant {
		t.Errorf("the handler saw %+v", p)
	}

	keys := testKeys(t, nil)
	valid, _ := keys.Sign(identity.Principal{Kind: identity.Service, ID: "tester", TenantID: "main"})
	past, _ := testKeys(t, func() time.Time { return time.Now().Add(-time.Hour) }).
		Sign(identity.Principal{Kind: identity.Service, ID: "tester", TenantID: "main"})
	for name, token := range map[string]string{
		"malformed": "x", "expired": past, "forged": valid[:len(valid)-2] + "AA",
	} {
		_, err := get(t.Context(), b.conn(t, with(wrongSigner(token))))
		if coded := wantCode(t, err, connect.CodeUnauthenticated); !strings.Contains(coded.Message(), "principal: ") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = list(t.Context(), b.conn(t, with(wrongSigner(token))))
		wantCode(t, err, connect.CodeUnauthenticated)
	}
	creator, _ := keys.Sign(identity.Principal{Kind: identity.Creator, ID: "c", TenantID: "main"})
	_, err = get(t.Context(), b.conn(t, with(wrongSigner(creator))))
	if coded := wantCode(t, err, connect.CodePermissionDenied); coded.Message() != "creator may not call Get" {
		t.Errorf("message %q", coded.Message())
	}
}

func caseAsCaller(t *testing.T, b *bench) {
	var seen atomic.Pointer[identity.Principal]
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		principal, _ := identity.From(ctx)
		seen.Store(&principal)
		return &storefrontv1.GetVideoResponse{}, nil
	})
	conn := b.conn(t, nil)
	caller := identity.Principal{
		Kind: identity.Viewer, ID: "0190", TenantID: "studio",
		Expires: time.Now().Add(20 * time.Second).UTC().Truncate(time.Microsecond),
	}
	if _, err := get(AsCaller(identity.With(t.Context(), caller)), conn); err != nil {
		t.Fatal(err)
	}
	if p := seen.Load(); *p != caller {
		t.Errorf("the handler saw %+v; want %+v", p, caller)
	}
	_, err := get(AsCaller(t.Context()), conn)
	wantCode(t, err, connect.CodeUnauthenticated)
	caller.Expires = time.Now().Add(-time.Second)
	_, err = get(AsCaller(identity.With(t.Context(), caller)), conn)
	wantCode(t, err, connect.CodeUnauthenticated)
}

func quickRetries(c *ClientConfig) {
	c.Policies = func(string) *policyv1.CallPolicy {
		return &policyv1.CallPolicy{
			Retry:   &policyv1.Retry{Backoff: durationpb.New(time.Microsecond)},
			Breaker: &policyv1.Breaker{MinCalls: 1000},
		}
	}
}

func caseRetry(t *testing.T, b *bench) {
	var calls atomic.Int64
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		if calls.Add(1) < 3 {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("leader is away"))
		}
		return &storefrontv1.GetVideoResponse{Video: video("third")}, nil
	})
	res, err := get(t.Context(), b.conn(t, quickRetries))
	if err != nil || calls.Load() != 3 || res.GetVideo().GetTitle() != "third" {
		t.Errorf("after %d calls: %v, %v", calls.Load(), res, err)
	}
	calls.Store(-10)
	_, err = get(t.Context(), b.conn(t, quickRetries))
	if coded := wantCode(t, err, connect.CodeUnavailable); coded.Message() != "leader is away" || calls.Load() != -7 {
		t.Errorf("after %d calls: %v", calls.Load()+10, err)
	}
}

func caseNoRetry(t *testing.T, b *bench) {
	var calls atomic.Int64
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		calls.Add(1)
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("leader is away"))
	})
	_, err := publish(t.Context(), b.conn(t, quickRetries), validPublish())
	if wantCode(t, err, connect.CodeUnavailable); calls.Load() != 1 {
		t.Errorf("a call that is not idempotent was made %d times", calls.Load())
	}
	calls.Store(0)
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		calls.Add(1)
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("withdrawn"))
	})
	_, err = get(t.Context(), b.conn(t, quickRetries))
	if wantCode(t, err, connect.CodeFailedPrecondition); calls.Load() != 1 {
		t.Errorf("a refused call was made %d times", calls.Load())
	}
}

func caseBreaker(t *testing.T, b *bench) {
	var sick atomic.Bool
	var calls atomic.Int64
	sick.Store(true)
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		calls.Add(1)
		if sick.Load() {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("sick"))
		}
		return &storefrontv1.PublishVideoResponse{}, nil
	})
	var mu sync.Mutex
	now := time.Now()
	conn := b.conn(t, func(c *ClientConfig) {
		c.Clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		c.Policies = func(string) *policyv1.CallPolicy {
			return &policyv1.CallPolicy{Breaker: &policyv1.Breaker{MinCalls: 4, Open: durationpb.New(2 * time.Second)}}
		}
	})
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	call := func(want string, sent int64) {
		t.Helper()
		before := calls.Load()
		_, err := publish(t.Context(), conn, validPublish())
		got := "ok"
		if err != nil {
			got = wantCode(t, err, connect.CodeUnavailable).Message()
		}
		if got != want || calls.Load()-before != sent {
			t.Fatalf("%q after %d calls; want %q after %d", got, calls.Load()-before, want, sent)
		}
	}
	const refused = "call shop: circuit breaker is open"
	for range 4 {
		call("sick", 1)
	}
	for range 10 {
		call(refused, 0)
	}
	pass(2 * time.Second)
	call("sick", 1) // the probe fails
	call(refused, 0)
	pass(2 * time.Second)
	sick.Store(false)
	call("ok", 1) // the probe closes it
	call("ok", 1)
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
	release, ended := make(chan struct{}), make(chan struct{})
	b.onPublish(func(_ context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		defer close(ended)
		<-release
		return &storefrontv1.PublishVideoResponse{Video: &storefrontv1.Video{Id: req.GetVideoId()}}, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req := validPublish()
	res, err := publish(ctx, conn, req)
	wantCode(t, err, connect.CodeDeadlineExceeded)
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
