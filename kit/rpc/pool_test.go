package rpc

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus/testutil"

	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// named serves Get with its name as the title.
func named(t *testing.T, name string) *bench {
	t.Helper()
	b := newBench(t, name, ServerConfig{})
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		return &storefrontv1.GetVideoResponse{Video: video(name)}, nil
	})
	return b
}

func titles(t *testing.T, calls int, conn *target) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range calls {
		res, err := get(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		got[res.GetVideo().GetTitle()]++
	}
	return got
}

func TestCallsTakeTurnsAndGoToTheLeastLoaded(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	client := a.client
	client.Resolver = Static(map[string][]Endpoint{"shop": {{Local: a.server}, {Local: b.server}}})
	conn := NewDialer(client).target("shop")
	if got := titles(t, 10, conn); got["a"] != 5 || got["b"] != 5 {
		t.Errorf("idle endpoints got %v", got)
	}
	entered, release := make(chan struct{}, 2), make(chan struct{})
	a.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		entered <- struct{}{}
		<-release
		return &storefrontv1.GetVideoResponse{Video: video("slow")}, nil
	})
	var slow sync.WaitGroup
	slow.Go(func() { titles(t, 2, conn) }) // one of two goes to a
	<-entered
	if got := titles(t, 10, conn); got["b"] != 10 {
		t.Errorf("beside a loaded endpoint got %v", got)
	}
	close(release)
	slow.Wait()
}

func TestCallsFollowTheResolver(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	addressA := a.serve(t, listen(t, "unix", filepath.Join(t.TempDir(), "a.sock")), a.server.Serve)
	addressB := b.serve(t, listen(t, "tcp", "127.0.0.1:0"), b.server.ServeKitex)
	var answer atomic.Pointer[[]Endpoint]
	client := a.client
	client.Resolver = ResolverFunc(func(string) []Endpoint {
		if now := answer.Load(); now != nil {
			return *now
		}
		return nil
	})
	dialer := NewDialer(client)
	defer dialer.Close()
	conn := dialer.target("shop")
	_, err := publish(t.Context(), conn, validPublish())
	if coded := wantCode(t, err, connect.CodeUnavailable); coded.Message() != "call shop: no endpoint is known" {
		t.Errorf("message %q", coded.Message())
	}
	for range 2 {
		for _, step := range []struct {
			endpoints []Endpoint
			want      string
		}{
			{[]Endpoint{{Address: addressA}}, "a"},
			{[]Endpoint{{KitexAddress: addressB}}, "b"},
			{[]Endpoint{{Local: a.server}}, "a"},
		} {
			answer.Store(&step.endpoints)
			if got := titles(t, 3, conn); got[step.want] != 3 {
				t.Errorf("%v: got %v", step.endpoints, got)
			}
		}
	}
}

func TestUnreachableEndpointIsPassedOverForAWhile(t *testing.T) {
	live := named(t, "live")
	address := live.serve(t, listen(t, "tcp", "127.0.0.1:0"), live.server.Serve)
	gone := listen(t, "tcp", "127.0.0.1:0")
	gone.Close()
	var now atomic.Int64
	client := live.client
	client.Clock = func() time.Time { return time.Unix(1_700_000_000, now.Load()) }
	client.Policies = func(string) *policyv1.CallPolicy { // no breaker in the way
		return &policyv1.CallPolicy{Breaker: &policyv1.Breaker{MinCalls: 1000}}
	}
	client.Resolver = Static(map[string][]Endpoint{"shop": {
		{Address: gone.Addr().String()}, {KitexAddress: gone.Addr().String()}, {Address: address},
	}})
	dialer := NewDialer(client)
	defer dialer.Close()
	conn := dialer.target("shop")
	if got := titles(t, 12, conn); got["live"] != 12 {
		t.Errorf("got %v", got)
	}
	retries := func() int { return int(testutil.ToFloat64(conn.metrics.retries)) }
	if retries() != 2 {
		t.Errorf("%d retries; want one for each endpoint that is gone", retries())
	}
	now.Add(int64(ejection))
	titles(t, 12, conn)
	if retries() != 4 {
		t.Errorf("%d retries; want one more for each after the ejection", retries())
	}
}

func TestResolversAreAskedInTurn(t *testing.T) {
	local := named(t, "local")
	locals := NewLocals()
	resolver := Fallback(locals, Static(nil), Static(map[string][]Endpoint{"shop": {{Address: "10.0.0.1:1"}}}))
	if got := resolver.Resolve("shop"); len(got) != 1 || got[0].Address != "10.0.0.1:1" {
		t.Errorf("without a local server: %v", got)
	}
	locals.Add("shop", local.server)
	if got := resolver.Resolve("shop"); len(got) != 1 || got[0].Local != local.server {
		t.Errorf("with a local server: %v", got)
	}
	if got := resolver.Resolve("other"); len(got) != 0 {
		t.Errorf("another service: %v", got)
	}
	locals.Remove("shop")
	if got := resolver.Resolve("shop"); len(got) != 1 || got[0].Local != nil {
		t.Errorf("after its removal: %v", got)
	}
}

func TestCallsInFlightAreBounded(t *testing.T) {
	b := newBench(t, "local", ServerConfig{MaxInFlight: 2})
	b.reach(Endpoint{Local: b.server})
	entered, release := make(chan struct{}), make(chan struct{})
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		entered <- struct{}{}
		<-release
		return &storefrontv1.GetVideoResponse{}, nil
	})
	bounded := func(n uint32) *target {
		client := b.client
		client.Policies = func(string) *policyv1.CallPolicy {
			return &policyv1.CallPolicy{Breaker: &policyv1.Breaker{MaxInFlight: n}}
		}
		return NewDialer(client).target("shop")
	}
	one, many := bounded(1), bounded(100)
	var calls sync.WaitGroup
	for _, conn := range []*target{one, many} {
		calls.Go(func() {
			if _, err := get(t.Context(), conn); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	for _, test := range []struct {
		conn *target
		want string
	}{
		{one, "call shop: too many calls in flight to the service"},
		{many, "too many calls in flight at the server"},
	} {
		_, err := get(t.Context(), test.conn)
		if coded := wantCode(t, err, connect.CodeResourceExhausted); coded.Message() != test.want {
			t.Errorf("message %q; want %q", coded.Message(), test.want)
		}
	}
	close(release)
	calls.Wait()
}
