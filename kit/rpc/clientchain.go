package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/breaker"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Call implements rpcdesc.Conn.
func (t *target) Call(ctx context.Context, method *rpcdesc.Method, req, res proto.Message) error {
	if method.Stream {
		return connect.NewWireError(connect.CodeUnimplemented, fmt.Errorf("%s streams: call it by HTTPClient", method.Procedure()))
	}
	outgoing := &call{
		transport: transportNone,
		res:       res,
		policy:    policyOf(t.dialer.config.Policies(t.service)),
	}
	_, err := t.handler(method)(withCall(ctx, outgoing), method, req)
	return err
}

// handler returns the chain for a method, which is built at its first call.
func (t *target) handler(method *rpcdesc.Method) Handler {
	procedure := method.Procedure()
	if built, found := t.methods.Load(procedure); found {
		return built.(Handler)
	}
	interceptors := []Interceptor{t.dialer.metrics.measure(method), t.traced, t.limited, t.throttled, t.deadlined, t.attached}
	interceptors = append(interceptors, t.dialer.config.Interceptors...)
	interceptors = append(interceptors, t.retried, t.guarded)
	built, _ := t.methods.LoadOrStore(procedure, Chain(t.send, interceptors...))
	return built.(Handler)
}

func (t *target) traced(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		ctx, span := startClientSpan(ctx, t.dialer.config.Tracer, callFrom(ctx), method)
		res, err := next(ctx, method, req)
		span.end(err)
		return res, err
	}
}

func (t *target) limited(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		defer t.inFlight.Add(-1)
		if t.inFlight.Add(1) > callFrom(ctx).policy.maxInFlight {
			t.metrics.refusedFull.Inc()
			return nil, t.refuse(connect.CodeResourceExhausted, errClientFull)
		}
		t.metrics.inFlight.Inc()
		defer t.metrics.inFlight.Dec()
		return next(ctx, method, req)
	}
}

func (t *target) deadlined(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		ctx, cancel := context.WithTimeout(ctx, callFrom(ctx).policy.timeout)
		defer cancel()
		return next(ctx, method, req)
	}
}

func (t *target) attached(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		token, err := t.dialer.principal(ctx)
		if err != nil {
			return nil, connect.NewWireError(connect.CodeUnauthenticated, err)
		}
		callFrom(ctx).principal = token
		return next(ctx, method, req)
	}
}

// principal signs whom a call is made for: the service itself, for the tenant
// of the call it works on, or the caller where AsCaller says so.
func (d *Dialer) principal(ctx context.Context) (token string, err error) {
	if d.config.Signer == nil {
		return "", nil
	}
	if IsAsCaller(ctx) {
		caller, known := identity.From(ctx)
		if !known || caller.Kind == identity.Anonymous {
			return "", nil
		}
		return d.config.Signer.Sign(caller)
	}
	return d.config.Signer.Sign(identity.Principal{
		Kind: identity.Service, ID: d.config.Service, TenantID: identity.Tenant(ctx),
	})
}

func (t *target) retried(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		limits := callFrom(ctx).policy.retry
		t.budget.deposit(limits.budgetPPM)
		for try := 1; ; try++ {
			res, err := next(ctx, method, req)
			if err == nil || try >= limits.maxAttempts || !repeatable(method, err) || ctx.Err() != nil {
				return res, err
			}
			if !t.budget.withdraw() {
				t.metrics.refusedBudget.Inc()
				return nil, err
			}
			if !waitBackoff(ctx, limits.backoff, try) {
				return nil, err
			}
			t.metrics.retries.Inc()
			proto.Reset(callFrom(ctx).res)
		}
	}
}

// repeatable reports whether the same call may be sent again: it changes
// nothing the second time, and another try may find a server.
func repeatable(method *rpcdesc.Method, err error) bool {
	return method.Idempotency != connect.IdempotencyUnknown &&
		connect.CodeOf(err) == connect.CodeUnavailable && !errors.Is(err, errBreakerOpen)
}

func (t *target) guarded(next Handler) Handler {
	clock := t.dialer.config.Clock
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		probe, allowed := t.breaker.Allow(clock())
		if !allowed {
			t.metrics.refusedBreaker.Inc()
			return nil, t.refuse(connect.CodeUnavailable, errBreakerOpen)
		}
		res, err := next(ctx, method, req)
		open := t.breaker.Done(clock(), probe, outcomeOf(err), callFrom(ctx).policy.breaker)
		if open {
			t.metrics.breaker.Set(1)
		} else {
			t.metrics.breaker.Set(0)
		}
		return res, err
	}
}

// outcomeOf counts as failures what tells of a sick service, and not what
// tells of a bad request.
func outcomeOf(err error) breaker.Outcome {
	if err == nil {
		return breaker.Succeeded
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeInternal,
		connect.CodeUnknown, connect.CodeDataLoss:
		return breaker.Failed
	case connect.CodeCanceled:
		return breaker.Undecided
	default:
		return breaker.Succeeded
	}
}

// send is the end of the chain: one try at one endpoint.
func (t *target) send(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	outgoing := callFrom(ctx)
	chosen := t.pool.pick(func(e Endpoint) bool { return e.Local != nil || e.KitexAddress != "" || e.Address != "" })
	if chosen == nil {
		return nil, t.refuse(connect.CodeUnavailable, errNoEndpoint)
	}
	err := chosen.call(ctx, method, outgoing, req)
	chosen.release(connect.CodeOf(err) == connect.CodeUnavailable && err != nil)
	if err != nil {
		return nil, err
	}
	return outgoing.res, nil
}

func (t *target) refuse(code connect.Code, reason error) error {
	return connect.NewWireError(code, fmt.Errorf("call %s: %w", t.service, reason))
}
