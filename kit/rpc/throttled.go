package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/throttle"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// maxThrottles bounds the methods and tenants whose calls to a service are
// counted. The calls of others are not held back.
const maxThrottles = 4096

// errHeld is what a caller is told whose call was not sent.
var errHeld = errors.New("it is busy, and refused many such calls just now")

// throttled refuses some of the calls that a busy service would refuse, of the same
// method and tenant: others may still find room.
func (t *target) throttled(next Handler) Handler {
	clock := t.dialer.config.Clock
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		limits := callFrom(ctx).policy.throttle
		counts := t.held.of(throttleKey{method.Service, method.Name, identity.Tenant(ctx)}, clock(), limits, t.metrics.throttles)
		if counts == nil {
			return next(ctx, method, req)
		}
		if after, allowed := counts.Allow(clock(), rand.Float64(), limits); !allowed {
			t.metrics.refusedHeld.Inc()
			return nil, RetryLater(connect.CodeResourceExhausted, fmt.Errorf("call %s: %w", t.service, errHeld), after)
		}
		res, err := next(ctx, method, req)
		if after, busy := refusedAsBusy(err); busy {
			counts.Refused(clock(), after, limits)
		} else {
			counts.Accepted(clock(), limits)
		}
		return res, err
	}
}

// refusedAsBusy tells whether a service refused a call that it might have done
// another time, and when to try again.
func refusedAsBusy(err error) (after time.Duration, busy bool) {
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Code() != connect.CodeResourceExhausted {
		return 0, false
	}
	return RetryAfter(coded)
}

type throttleKey struct{ service, method, tenantID string }

// throttles are those of a service.
type throttles struct {
	mu    sync.Mutex
	all   map[throttleKey]*throttle.Throttle
	swept time.Time // of those that are calm
}

// of returns a throttle, nil where there are too many.
func (s *throttles) of(key throttleKey, now time.Time, limits throttle.Policy, number prometheus.Gauge) *throttle.Throttle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.all[key]; found != nil {
		return found
	}
	if len(s.all) >= maxThrottles && now.Sub(s.swept) >= limits.Window {
		s.swept = now
		for other, counts := range s.all {
			if counts.Calm(now, limits) {
				delete(s.all, other)
			}
		}
	}
	if len(s.all) >= maxThrottles {
		return nil
	}
	if s.all == nil {
		s.all = make(map[throttleKey]*throttle.Throttle)
	}
	found := new(throttle.Throttle)
	s.all[key] = found
	number.Set(float64(len(s.all)))
	return found
}
