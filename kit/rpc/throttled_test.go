package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/throttle"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func caseThrottle(t *testing.T, b *bench) {
	const later, tries = 700 * time.Millisecond, 400
	var busy atomic.Bool
	var reached atomic.Int64
	busy.Store(true)
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		reached.Add(1)
		if busy.Load() {
			return nil, RetryLater(connect.CodeResourceExhausted, errors.New("busy"), later)
		}
		return &storefrontv1.PublishVideoResponse{}, nil
	})
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		return &storefrontv1.GetVideoResponse{}, nil
	})
	var mu sync.Mutex
	now := time.Now()
	var throttling *policyv1.Throttle
	conn := b.conn(t, func(c *ClientConfig) {
		c.Clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		c.Policies = func(string) *policyv1.CallPolicy { return &policyv1.CallPolicy{Throttle: throttling} }
	})
	held := func(ctx context.Context) (n int) {
		t.Helper()
		before := reached.Load()
		for range tries {
			_, err := publish(ctx, conn, validPublish())
			if err == nil {
				continue
			}
			coded := wantCode(t, err, connect.CodeResourceExhausted)
			if after, told := RetryAfter(coded); !told || after != later {
				t.Fatalf("%v: retry after %v (%v)", err, after, told)
			}
			if coded.Message() != "busy" {
				n++
			}
		}
		if sent := int(reached.Load() - before); sent != tries-n {
			t.Fatalf("%d were held back, and %d of %d sent", n, sent, tries)
		}
		return n
	}
	of := func(tenantID string) context.Context {
		return identity.With(t.Context(), identity.Principal{Kind: identity.Service, ID: "x", TenantID: tenantID})
	}
	if n := held(of("one")); n < tries/2 || n > tries-tries/50 {
		t.Errorf("%d of %d that would be refused were held back", n, tries)
	}
	busy.Store(false)
	if n := held(of("two")); n > 0 {
		t.Errorf("%d of another tenant were held back", n)
	}
	if _, err := get(of("one"), conn); err != nil {
		t.Errorf("another method: %v", err)
	}
	pass := func() {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(20 * DefaultCounted)
	}
	pass()
	if n := held(of("one")); n > 0 {
		t.Errorf("%d were held back long after the last refusal", n)
	}
	pass() // what was accepted is forgotten, too
	busy.Store(true)
	throttling = &policyv1.Throttle{SurplusPpm: throttle.Off}
	if n := held(of("one")); n > 0 {
		t.Errorf("%d were held back where that is turned off", n)
	}
}

func TestThrottlesAreBounded(t *testing.T) {
	limits := throttle.Policy{Window: time.Second}
	number := prometheus.NewGauge(prometheus.GaugeOpts{Name: "n"})
	now, all := time.Unix(1_700_000_000, 0), new(throttles)
	for i := range maxThrottles {
		all.of(throttleKey{"a", "B", fmt.Sprint(i)}, now, limits, number).Accepted(now, limits)
	}
	if all.of(throttleKey{"a", "B", "0"}, now, limits, number) == nil {
		t.Error("one that is there is not found")
	}
	if all.of(throttleKey{"a", "B", "more"}, now.Add(time.Second), limits, number) != nil || testutil.ToFloat64(number) != maxThrottles {
		t.Errorf("there is one more than may be: %v", testutil.ToFloat64(number))
	}
	if all.of(throttleKey{"a", "B", "more"}, now.Add(time.Minute), limits, number) == nil || testutil.ToFloat64(number) != 1 {
		t.Errorf("those that are calm have not made room: %v", testutil.ToFloat64(number))
	}
}
