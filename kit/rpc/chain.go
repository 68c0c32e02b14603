package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Handler carries out one unary call. The request belongs to the handler, the
// response to its caller. An error of a built-in handler is a *connect.Error.
type Handler func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error)

// Interceptor wraps a Handler. It is applied once, when the chain is built.
type Interceptor func(next Handler) Handler

// Chain applies interceptors to handler, the first outermost.
func Chain(handler Handler, interceptors ...Interceptor) Handler {
	for i := len(interceptors) - 1; i >= 0; i-- {
		handler = interceptors[i](handler)
	}
	return handler
}

// Verifier checks the principal that a call brings; *identity.Keys is one.
type Verifier interface {
	Verify(token string) (identity.Principal, error)
}

// Signer signs the principal that a call takes along; *identity.Keys is one.
type Signer interface {
	Sign(p identity.Principal) (token string, err error)
}

// Transport names of the metrics' label.
const (
	transportLocal   = "local"
	transportConnect = "connect"
	transportKitex   = "kitex"
	transportGRPC    = "kitex_grpc"
	transportHTTP    = "http"
	transportNone    = "none" // the call was refused before one was chosen
)

// metadata travels beside a message; each transport has its own form of it.
type metadata struct {
	principal   string // signed, may be empty
	traceparent string
	tracestate  string
	deadline    time.Time // zero: none
}

// call is the state of one call, found in the context of its chain.
type call struct {
	metadata
	transport string
	raw       []byte // of a request that is not decoded yet
	// verified is who the principal says, where known.
	verified identity.Principal
	known    bool

	// res is what a client's call fills, policy what bounds it.
	res    proto.Message
	policy policy
	// next carries out a server's call where Connect has to; nil otherwise.
	next func(ctx context.Context, req proto.Message) (proto.Message, error)
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

type asCallerKey struct{}

// AsCaller returns a context whose calls carry the principal that
// identity.From finds in it, with its expiry, in place of the calling
// service's own. Without such a principal calls are anonymous.
func AsCaller(ctx context.Context) context.Context {
	return context.WithValue(ctx, asCallerKey{}, true)
}

// IsAsCaller tells whether the calls of ctx are made as AsCaller says.
func IsAsCaller(ctx context.Context) bool {
	asCaller, _ := ctx.Value(asCallerKey{}).(bool)
	return asCaller
}
