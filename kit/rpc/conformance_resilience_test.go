package rpc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

func caseDeadline(t *testing.T, b *bench) {
	var policy atomic.Pointer[policyv1.CallPolicy]
	conn := b.conn(t, func(c *ClientConfig) {
		c.Policies = func(string) *policyv1.CallPolicy { return policy.Load() }
	})
	b.warm(t, conn)
	b.withTimeout(t, func(timeout time.Duration) (time.Duration, error) {
		policy.Store(&policyv1.CallPolicy{Timeout: durationpb.New(timeout)})
		defer policy.Store(nil)
		return b.untilDeadline(t.Context(), conn)
	})
	b.withTimeout(t, func(timeout time.Duration) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return b.untilDeadline(ctx, conn)
	})
}

// withTimeout makes a call that is to end by its timeout, and looks at what the
// handler had of it. A machine that is so busy that the call does not come to
// the handler in time gets twice the time.
func (b *bench) withTimeout(t *testing.T, call func(timeout time.Duration) (left time.Duration, err error)) {
	t.Helper()
	for timeout := 100 * time.Millisecond; ; timeout *= 2 {
		begin := time.Now()
		left, err := call(timeout)
		wantCode(t, err, connect.CodeDeadlineExceeded)
		if took := time.Since(begin); took > timeout+10*time.Second {
			t.Errorf("took %v", took)
		}
		if left == 0 && timeout < 5*time.Second {
			continue
		}
		if left > timeout || left <= 0 {
			t.Errorf("the handler had %v of %v", left, timeout)
		}
		return
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
// the time that this one gave it; 0: it came too late to the handler; negative:
// the context did not end in time.
func (b *bench) untilDeadline(ctx context.Context, conn rpcdesc.Conn) (left time.Duration, err error) {
	handled := make(chan time.Duration, 1)
	var entered atomic.Bool
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		entered.Store(true)
		deadline, _ := ctx.Deadline()
		given := time.Until(deadline)
		<-ctx.Done()
		handled <- given
		return nil, ctx.Err()
	})
	_, err = get(ctx, conn)
	select {
	case left = <-handled:
		return max(left, 0), err
	case <-time.After(3 * time.Second):
		if entered.Load() {
			return -1, err
		}
		return 0, err
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
		<-release // an answer in time would be as good as the cancellation
		return &storefrontv1.GetVideoResponse{}, nil
	})
	go func() {
		<-entered
		cancel()
	}()
	_, err := get(ctx, conn)
	wantCode(t, err, connect.CodeCanceled)
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	if strings.HasPrefix(b.name, "kitex") && !strings.Contains(b.name, "grpc") {
		free() // TTHeader has no way to tell the server
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler was not told")
	}
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
