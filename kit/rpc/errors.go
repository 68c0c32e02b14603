package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

var (
	errShutdown    = errors.New("server is shutting down")
	errServerFull  = errors.New("too many calls in flight at the server")
	errClientFull  = errors.New("too many calls in flight to the service")
	errBreakerOpen = errors.New("circuit breaker is open")
	errNoEndpoint  = errors.New("no endpoint is known")
	errNoPrincipal = errors.New("sign in first")
	errNoVerifier  = errors.New("principals are not accepted here")
	errMalformed   = errors.New("message cannot be decoded")
	errInternal    = errors.New("internal error")
)

// external turns every error into what the caller may see. One that no code
// was given to is a fault of ours: it is logged, and the caller learns only
// that it happened.
func (s *Server) external(next Handler) Handler {
	return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
		res, err := next(ctx, method, req)
		if err == nil {
			return res, nil
		}
		shown := expose(err)
		if errors.Is(context.Cause(ctx), errShutdown) {
			shown = connect.NewError(connect.CodeUnavailable, errShutdown)
		}
		if shown == nil {
			s.logFault(ctx, method, err)
			shown = connect.NewError(connect.CodeInternal, errInternal)
		}
		return nil, shown
	}
}

// expose returns what a caller may see of err, nil where that is nothing.
func expose(err error) *connect.Error {
	var coded *connect.Error
	var lost *unreachable
	switch {
	case errors.As(err, &lost):
		return connect.NewError(connect.CodeUnavailable, errors.New(lost.shown()))
	case errors.As(err, &coded):
		if coded.Code() == connect.CodeInternal || coded.Code() == connect.CodeUnknown {
			return nil
		}
		return copyError(coded, connect.NewError)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	}
	return nil
}

// logFault logs err, unless it is an answer of another service, which has
// logged it.
func (s *Server) logFault(ctx context.Context, method *rpcdesc.Method, err error) {
	if connect.IsWireError(err) {
		return
	}
	attributes := []slog.Attr{
		slog.String("service", s.config.Service),
		slog.String("procedure", method.Procedure()),
		slog.Any("err", err),
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attributes = append(attributes, slog.String("trace_id", span.TraceID().String()))
	}
	var panicked *panicError
	if errors.As(err, &panicked) {
		attributes = append(attributes, slog.String("stack", string(panicked.stack)))
	}
	s.config.Log.LogAttrs(ctx, slog.LevelError, "call failed", attributes...)
}

func tooLarge(most int) *connect.Error {
	return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("message is larger than %d bytes", most))
}

// copyError keeps code, message and details, and nothing else.
func copyError(err *connect.Error, build func(connect.Code, error) *connect.Error) *connect.Error {
	fresh := build(err.Code(), errors.New(err.Message()))
	for _, detail := range err.Details() {
		fresh.AddDetail(detail)
	}
	return fresh
}

// wireError is an error as it comes out of a client: a *connect.Error that
// wraps nothing of the server's.
func wireError(err error) error {
	if coded := new(connect.Error); errors.As(err, &coded) {
		return copyError(coded, connect.NewWireError)
	}
	return connect.NewWireError(connect.CodeInternal, errInternal)
}

// unreachable says that a try found no server, or lost it. What it was is for
// our logs only.
type unreachable struct {
	service string
	cause   error
}

func (u *unreachable) Error() string { return u.shown() + ": " + u.cause.Error() }

func (u *unreachable) Unwrap() error { return u.cause }

func (u *unreachable) shown() string { return "call " + u.service + ": cannot be reached" }

func (m *member) unreachable(cause error) error {
	return connect.NewWireError(connect.CodeUnavailable, &unreachable{m.service, cause})
}

// codeName is the label of an error's code; "ok" for nil.
func codeName(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}

func kindName(kind identity.Kind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "PRINCIPAL_"))
}
