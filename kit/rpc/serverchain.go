package rpc

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// chain is what every transport hands a call to. Streams pass the same one,
// with a nil request: their messages are validated as they arrive.
func (s *Server) chain(method *rpcdesc.Method, impl any) Handler {
	interceptors := []Interceptor{
		s.traced, s.metrics.measure(method), s.external, recovered, s.limited,
		s.deadlined, s.authenticated, authorized,
	}
	if !method.Stream {
		if gatekeeper, is := impl.(Gatekeeper); is {
			interceptors = append(interceptors, gated(gatekeeper))
		}
		interceptors = append(interceptors, validated)
		interceptors = append(interceptors, s.config.Interceptors...)
	}
	return Chain(func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		if next := callFrom(ctx).next; next != nil {
			return next(ctx, req)
		}
		return method.Invoke(ctx, impl, req)
	}, interceptors...)
}

func (s *Server) traced(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		ctx, span := startServerSpan(ctx, s.config.Tracer, callFrom(ctx), method)
		res, err := next(ctx, method, req)
		span.end(err)
		return res, err
	}
}

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func recovered(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (res proto.Message, err error) {
		defer func() {
			if value := recover(); value != nil {
				res, err = nil, &panicError{value, debug.Stack()}
			}
		}()
		return next(ctx, method, req)
	}
}

func (s *Server) limited(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		leave, err := s.enter(method.Stream)
		if err != nil {
			return nil, err
		}
		defer leave()
		return next(ctx, method, req)
	}
}

func (s *Server) deadlined(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		deadline := callFrom(ctx).deadline
		if !method.Stream {
			latest := time.Now().Add(s.config.MaxCallTime)
			if deadline.IsZero() || deadline.After(latest) {
				deadline = latest
			}
		}
		if !deadline.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline)
			defer cancel()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return next(ctx, method, req)
	}
}

func (s *Server) authenticated(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		incoming := callFrom(ctx)
		if !incoming.known {
			principal, err := s.verify(incoming.principal)
			if err != nil {
				return nil, connect.NewError(connect.CodeUnauthenticated, err)
			}
			incoming.verified, incoming.known = principal, true
		}
		return next(identity.With(ctx, incoming.verified), method, req)
	}
}

// verify returns the anonymous principal for an empty token.
func (s *Server) verify(token string) (identity.Principal, error) {
	if token == "" {
		return identity.Principal{Kind: identity.Anonymous, TenantID: identity.DefaultTenant}, nil
	}
	if s.config.Verifier == nil {
		return identity.Principal{}, errNoVerifier
	}
	return s.config.Verifier.Verify(token)
}

func authorized(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		principal, _ := identity.From(ctx)
		if method.Allows(principal.Kind) {
			return next(ctx, method, req)
		}
		if principal.Kind == identity.Anonymous {
			return nil, connect.NewError(connect.CodeUnauthenticated, errNoPrincipal)
		}
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s may not call %s", kindName(principal.Kind), method.Name))
	}
}

// gated asks an implementation before what is not decoded yet is.
func gated(gatekeeper Gatekeeper) Interceptor {
	return func(next Handler) Handler {
		return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
			incoming := callFrom(ctx)
			ctx, leave, err := gatekeeper.Admit(ctx, method, incoming.items(req))
			if err != nil {
				return nil, err
			}
			defer leave()
			if incoming.raw == nil {
				return next(ctx, method, req)
			}
			if err := proto.Unmarshal(incoming.raw, req); err != nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, errMalformed)
			}
			incoming.raw = nil
			return next(ctx, method, req)
		}
	}
}

// items counts the elements of the first field of a request, decoded or not.
func (c *call) items(req proto.Message) int {
	if c.raw != nil {
		return items(c.raw)
	}
	message := req.ProtoReflect()
	if first := message.Descriptor().Fields().ByNumber(1); first != nil && first.IsList() {
		return max(message.Get(first).List().Len(), 1)
	}
	return 1
}

// items counts the elements of a message's first field, 1 where there are none.
func items(raw []byte) int {
	n := 0
	for len(raw) > 0 {
		number, kind, length := protowire.ConsumeTag(raw)
		if length < 0 {
			break
		}
		raw = raw[length:]
		if length = protowire.ConsumeFieldValue(number, kind, raw); length < 0 {
			break
		}
		raw = raw[length:]
		if number == 1 {
			n++
		}
	}
	return max(n, 1)
}

func validated(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		if err := Validate(req); err != nil {
			return nil, err
		}
		return next(ctx, method, req)
	}
}
