package rpcdesc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Message is a pointer to a generated message struct.
type Message[T any] interface {
	*T
	proto.Message
}

// Unary completes m for a unary method. call is the method expression of the
// generated interface: FooServiceServer.Bar.
func Unary[S, Req, Res any, PReq Message[Req], PRes Message[Res]](
	m Method, call func(S, context.Context, PReq) (PRes, error),
) Method {
	m.NewRequest = func() proto.Message { return PReq(new(Req)) }
	m.NewResponse = func() proto.Message { return PRes(new(Res)) }
	m.Invoke = func(ctx context.Context, impl any, req proto.Message) (proto.Message, error) {
		res, err := call(impl.(S), ctx, req.(PReq))
		if err != nil {
			return nil, err
		}
		return res, nil
	}
	m.handler = func(m *Method, impl any, opts []connect.HandlerOption) http.Handler {
		server := impl.(S)
		serve := func(ctx context.Context, req *Req) (*Res, error) { return call(server, ctx, req) }
		return connect.NewUnaryHandlerSimple(m.Procedure(), serve, m.options(opts)...)
	}
	return m
}

// Stream completes m for a server-streaming method. call is the method
// expression of the generated interface: FooServiceStreamServer.Watch.
func Stream[S, Req, Res any, PReq Message[Req], PRes Message[Res]](
	m Method, call func(S, context.Context, PReq, *connect.ServerStream[Res]) error,
) Method {
	m.Stream = true
	m.NewRequest = func() proto.Message { return PReq(new(Req)) }
	m.NewResponse = func() proto.Message { return PRes(new(Res)) }
	m.handler = func(m *Method, impl any, opts []connect.HandlerOption) http.Handler {
		server := impl.(S)
		serve := func(ctx context.Context, req *Req, stream *connect.ServerStream[Res]) error {
			return call(server, ctx, req, stream)
		}
		return connect.NewServerStreamHandlerSimple(m.Procedure(), serve, m.options(opts)...)
	}
	return m
}

func (m *Method) options(opts []connect.HandlerOption) []connect.HandlerOption {
	all := []connect.HandlerOption{connect.WithIdempotency(m.Idempotency)}
	if schema := m.Schema(); schema != nil {
		all = append(all, connect.WithSchema(schema))
	}
	return append(all, opts...)
}
