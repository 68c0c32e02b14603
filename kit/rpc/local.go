package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// bare is a context without the values of another process, or what stands
// for one: deadlines and cancellation pass, the caller's values do not.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// AfterFunc lets package context derive from bare without a goroutine.
func (b bare) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(b.Context, f) }

// localConn serves calls in process, by the chain that network calls pass.
type localConn struct{ server *Server }

// Local returns a Conn to the server without a network. It takes along what
// a Dialer's client chain put into the context, and nothing where there is no
// such chain: then the call is anonymous.
func (s *Server) Local() rpcdesc.Conn { return localConn{s} }

type localResult struct {
	res proto.Message
	err error
}

// Call copies req for the handler and its response into res, so that neither
// side sees later changes of the other. When ctx ends it returns at once; the
// handler ends in its own time, and Shutdown waits for it.
func (l localConn) Call(ctx context.Context, method *rpcdesc.Method, req, res proto.Message) error {
	bound := l.server.method(method.Procedure())
	if bound == nil || bound.Stream {
		return connect.NewWireError(connect.CodeUnimplemented, fmt.Errorf("%s is not served here", method.Procedure()))
	}
	if most := l.server.config.MaxMessageBytes; proto.Size(req) > most {
		return wireError(tooLarge(most))
	}
	incoming := &call{transport: transportLocal}
	if outgoing := callFrom(ctx); outgoing != nil {
		incoming.metadata = outgoing.metadata
	}
	incoming.deadline, _ = ctx.Deadline()

	done := make(chan localResult, 1)
	copied := proto.Clone(req)
	go func() {
		res, err := bound.handle(withCall(bare{ctx}, incoming), bound.Method, copied)
		done <- localResult{res, err}
	}()
	select {
	case result := <-done:
		if result.err != nil {
			return wireError(result.err)
		}
		proto.Merge(res, result.res)
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// contextError is the *connect.Error of a context that ended.
func contextError(ctx context.Context) error {
	code := connect.CodeCanceled
	if ctx.Err() == context.DeadlineExceeded {
		code = connect.CodeDeadlineExceeded
	}
	return connect.NewWireError(code, ctx.Err())
}
