package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
)

const (
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
)

// connectInterceptor leads Connect's calls through the server chain.
type connectInterceptor struct{ server *Server }

func metadataOf(header http.Header) metadata {
	return metadata{
		principal:   header.Get(identity.Header),
		traceparent: header.Get(headerTraceparent),
		tracestate:  header.Get(headerTracestate),
	}
}

// WrapUnary implements connect.Interceptor.
func (i connectInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		bound := i.server.method(req.Spec().Procedure)
		var response connect.AnyResponse
		incoming := &call{metadata: metadataOf(req.Header()), transport: transportConnect}
		if gate := callFrom(ctx); gate != nil && gate.principal == incoming.principal {
			incoming.verified, incoming.known = gate.verified, gate.known
		}
		incoming.next = func(ctx context.Context, _ proto.Message) (proto.Message, error) {
			var err error
			if response, err = next(ctx, req); err != nil {
				return nil, err
			}
			return response.Any().(proto.Message), nil
		}
		_, err := bound.handle(withCall(ctx, incoming), bound.Method, req.Any().(proto.Message))
		if err != nil {
			return nil, tellRetry(err)
		}
		return response, nil
	}
}

// WrapStreamingClient implements connect.Interceptor; servers do not use it.
func (i connectInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (i connectInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		bound := i.server.method(conn.Spec().Procedure)
		ctx, leave := i.server.openStream(ctx)
		defer leave()
		incoming := &call{metadata: metadataOf(conn.RequestHeader()), transport: transportConnect}
		incoming.next = func(ctx context.Context, _ proto.Message) (proto.Message, error) {
			return nil, next(ctx, validatedStream{conn})
		}
		_, err := bound.handle(withCall(ctx, incoming), bound.Method, nil)
		return err
	}
}

// openStream returns a context that Shutdown cancels.
func (s *Server) openStream(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	opened := &stream{cancel}
	s.mu.Lock()
	s.streams[opened] = struct{}{}
	s.mu.Unlock()
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		delete(s.streams, opened)
		s.mu.Unlock()
	}
}

// validatedStream validates each message that arrives.
type validatedStream struct{ connect.StreamingHandlerConn }

func (v validatedStream) Receive(message any) error {
	if err := v.StreamingHandlerConn.Receive(message); err != nil {
		return err
	}
	typed, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("received a %T, which is no message", message)
	}
	return Validate(typed)
}

// boundBody gives a call's request BodyTimeout to arrive. The deadline is
// lifted at its end: after it, reads only watch for the caller to go away.
func (s *Server) boundBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(s.config.BodyTimeout)) == nil {
				r.Body = &deadlineBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

type deadlineBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *deadlineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
