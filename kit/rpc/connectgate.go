package rpc

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// headerTimeout is Connect's, in milliseconds.
const headerTimeout = "Connect-Timeout-Ms"

// connectGate has a Gatekeeper asked by the headers of a Connect call, before
// its message is read: who is refused has cost no more than that. Who is not is
// asked again when it is known how much the message holds. Calls that bring a
// principal that does not verify, or may not call, go no further either.
type connectGate struct {
	next    http.Handler
	writer  *connect.ErrorWriter
	methods map[string]*gatedMethod // by path
}

// gatedMethod is a method whose implementation is a Gatekeeper.
type gatedMethod struct {
	*rpcdesc.Method
	ask    Handler                                    // answers nil, or why the call is refused
	refuse func(ctx context.Context, err error) error // has a refusal traced, measured and shown
}

// connectGate returns next where impl is no Gatekeeper.
func (s *Server) connectGate(desc rpcdesc.Service, impl any, next http.Handler) http.Handler {
	gatekeeper, is := impl.(Gatekeeper)
	if !is {
		return next
	}
	g := &connectGate{next: next, writer: connect.NewErrorWriter(), methods: make(map[string]*gatedMethod)}
	for i := range desc.Methods {
		if method := &desc.Methods[i]; !method.Stream {
			g.methods[method.Procedure()] = s.gatedMethod(method, gatekeeper)
		}
	}
	return g
}

func (s *Server) gatedMethod(method *rpcdesc.Method, gatekeeper Gatekeeper) *gatedMethod {
	ask := func(ctx context.Context, method *rpcdesc.Method, _ proto.Message) (proto.Message, error) {
		_, leave, err := gatekeeper.Admit(ctx, method, 1)
		if err == nil {
			leave()
		}
		return nil, err
	}
	type reasonKey struct{}
	told := Chain(func(ctx context.Context, _ *rpcdesc.Method, _ proto.Message) (proto.Message, error) {
		return nil, ctx.Value(reasonKey{}).(error)
	}, s.traced, s.metrics.measure(method), s.external)
	return &gatedMethod{
		Method: method,
		ask:    Chain(ask, recovered, s.deadlined, s.authenticated, authorized),
		refuse: func(ctx context.Context, reason error) error {
			_, err := told(context.WithValue(ctx, reasonKey{}, reason), method, nil)
			return tellRetry(err)
		},
	}
}

// ServeHTTP implements http.Handler.
func (g *connectGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := g.methods[r.URL.Path]
	if method == nil || r.Method != http.MethodPost || !g.writer.IsSupported(r) {
		g.next.ServeHTTP(w, r)
		return
	}
	incoming := &call{metadata: metadataOf(r.Header), transport: transportConnect}
	if left, err := strconv.ParseUint(r.Header.Get(headerTimeout), 10, 32); err == nil {
		incoming.deadline = time.Now().Add(time.Duration(left) * time.Millisecond)
	}
	ctx := withCall(r.Context(), incoming)
	if _, err := method.ask(ctx, method.Method, nil); err != nil {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1.1 reads the message first otherwise
		_ = g.writer.Write(w, r, method.refuse(ctx, err))    // who does not read it has hung up
		return
	}
	g.next.ServeHTTP(w, r.WithContext(withCall(r.Context(), incoming))) // the principal is verified once
}
