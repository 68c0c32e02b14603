package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/breaker"
	"github.com/backlot-video/backlot/kit/throttle"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
)

// Defaults of policy.v1.CallPolicy; a field that is absent or zero means them.
const (
	DefaultTimeout      = 5 * time.Second
	DefaultFailurePPM   = 500_000
	DefaultMinCalls     = 20
	DefaultWindow       = 10 * time.Second
	DefaultOpen         = 2 * time.Second
	DefaultMaxInFlight  = 1024
	DefaultMaxAttempts  = 3
	DefaultBudgetPPM    = 200_000
	DefaultBackoff      = 20 * time.Millisecond
	DefaultSurplusPPM   = 250_000
	DefaultCounted      = 500 * time.Millisecond
	partsPerMillion     = 1_000_000
	maxBackoffDoublings = 10
)

// policy is a CallPolicy with its defaults filled in.
type policy struct {
	timeout     time.Duration
	maxInFlight int64
	breaker     breaker.Policy
	retry       retryPolicy
	throttle    throttle.Policy
}

type retryPolicy struct {
	maxAttempts int
	budgetPPM   uint64
	backoff     time.Duration
}

func policyOf(p *policyv1.CallPolicy) policy {
	limits, retry, held := p.GetBreaker(), p.GetRetry(), p.GetThrottle()
	return policy{
		timeout:     durationOf(p.GetTimeout(), DefaultTimeout),
		maxInFlight: int64(orDefault(limits.GetMaxInFlight(), DefaultMaxInFlight)),
		breaker: breaker.Policy{
			FailurePPM: uint64(orDefault(limits.GetFailurePpm(), DefaultFailurePPM)),
			MinCalls:   uint64(orDefault(limits.GetMinCalls(), DefaultMinCalls)),
			Window:     durationOf(limits.GetWindow(), DefaultWindow),
			Open:       durationOf(limits.GetOpen(), DefaultOpen),
		},
		retry: retryPolicy{
			maxAttempts: int(orDefault(retry.GetMaxAttempts(), DefaultMaxAttempts)),
			budgetPPM:   uint64(orDefault(retry.GetBudgetPpm(), DefaultBudgetPPM)),
			backoff:     durationOf(retry.GetBackoff(), DefaultBackoff),
		},
		throttle: throttle.Policy{
			SurplusPPM: uint64(orDefault(held.GetSurplusPpm(), DefaultSurplusPPM)),
			Window:     durationOf(held.GetWindow(), DefaultCounted),
		},
	}
}

func durationOf(d *durationpb.Duration, fallback time.Duration) time.Duration {
	if value := d.AsDuration(); value > 0 {
		return value
	}
	return fallback
}
