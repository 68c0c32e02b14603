package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// ServerConfig configures a Server. Zero fields mean what is written beside
// them.
type ServerConfig struct {
	Service    string                // deployable service, for logs
	Log        *slog.Logger          // slog.Default()
	Registerer prometheus.Registerer // metrics are kept but not exposed
	Verifier   Verifier              // every principal is refused
	Tracer     trace.Tracer          // trace context is passed on, no span is made
	Clock      func() time.Time      // time.Now
	TLS        *tls.Config           // of TCP listeners, unix ones are plain; without it only loopback is served

	Interceptors []Interceptor // innermost part of the chain of unary calls

	MaxInFlight     int           // calls at once; 4096
	MaxStreams      int           // streams, and requests of HandleHTTP, at once; 32,768
	MaxMessageBytes int           // of a request; 4 MiB
	MaxHeaderBytes  int           // of an HTTP request; 64 KiB
	HeaderTimeout   time.Duration // to read an HTTP request's header; 5 s
	BodyTimeout     time.Duration // to read a call's body, not that of HandleHTTP; 30 s
	IdleTimeout     time.Duration // of a kept connection; 2 min
	MaxCallTime     time.Duration // of a unary call without a shorter deadline; 5 min
}

func (c ServerConfig) withDefaults() ServerConfig {
	c.Log = orDefault(c.Log, slog.Default())
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.MaxInFlight = orDefault(c.MaxInFlight, 4096)
	c.MaxStreams = orDefault(c.MaxStreams, 32_768)
	c.MaxMessageBytes = orDefault(c.MaxMessageBytes, 4<<20)
	c.MaxHeaderBytes = orDefault(c.MaxHeaderBytes, 64<<10)
	c.HeaderTimeout = orDefault(c.HeaderTimeout, 5*time.Second)
	c.BodyTimeout = orDefault(c.BodyTimeout, 30*time.Second)
	c.IdleTimeout = orDefault(c.IdleTimeout, 2*time.Minute)
	c.MaxCallTime = orDefault(c.MaxCallTime, 5*time.Minute)
	return c
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Server serves proto services in process, over Connect and over Kitex.
type Server struct {
	config  ServerConfig
	metrics *serverMetrics
	mux     *http.ServeMux

	inFlight  atomic.Int64 // streams too
	streaming atomic.Int64
	closing   atomic.Bool
	idle      chan struct{} // a hint that inFlight fell to zero while closing

	mu       sync.RWMutex
	services []rpcdesc.Service
	methods  map[string]*boundMethod // by procedure
	address  string                  // of the first Serve
	closers  []closer
	streams  map[*stream]struct{}
}

// boundMethod is a method with the chain that ends in its implementation.
type boundMethod struct {
	*rpcdesc.Method
	handle Handler
	gated  bool // its implementation is a Gatekeeper
}

// Gatekeeper is asked by its own calls, once it is known who calls and until
// when, and before the message is decoded or validated: the place to refuse what
// there is no time for. items is how many elements the message's first field
// has, 1 where it has none. The call goes on in the context admitted, and leave is
// called when it has ended; or err is what it comes to. Over Connect it is asked
// twice: by the headers alone, before the message is read, with 1 for items;
// and when it was decoded, before it is validated.
type Gatekeeper interface {
	Admit(ctx context.Context, method *rpcdesc.Method, items int) (admitted context.Context, leave func(), err error)
}

// closer ends one listener: gracefully until ctx ends, then at once.
type closer func(ctx context.Context) error

// stream is a streaming call in flight, which Shutdown cancels.
type stream struct{ cancel context.CancelCauseFunc }

// NewServer returns a server that serves nothing yet.
func NewServer(config ServerConfig) *Server {
	config = config.withDefaults()
	return &Server{
		config:  config,
		metrics: newServerMetrics(config.Registerer),
		mux:     http.NewServeMux(),
		idle:    make(chan struct{}, 1),
		methods: make(map[string]*boundMethod),
		streams: make(map[*stream]struct{}),
	}
}

// Handle serves a proto service by impl, which must implement the service's
// generated Server interface, and its StreamServer where methods stream, and
// may be a Gatekeeper; it panics otherwise, and where the service is served already. What is handled
// after ServeKitex is not served by Kitex.
func (s *Server) Handle(desc rpcdesc.Service, impl any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range desc.Methods {
		method := &desc.Methods[i]
		if _, taken := s.methods[method.Procedure()]; taken {
			panic("rpc: " + method.Procedure() + " is handled twice")
		}
		_, gated := impl.(Gatekeeper)
		s.methods[method.Procedure()] = &boundMethod{method, s.chain(method, impl), gated && !method.Stream}
	}
	s.services = append(s.services, desc)
	path, handler := desc.Connect(impl,
		connect.WithInterceptors(connectInterceptor{s}),
		connect.WithReadMaxBytes(s.config.MaxMessageBytes),
		connect.WithCodec(jsonCodecs[0]), connect.WithCodec(jsonCodecs[1]),
	)
	s.mux.Handle(path, sayBusy(s.boundBody(s.connectGate(desc, impl, handler))))
}

func (s *Server) method(procedure string) *boundMethod {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.methods[procedure]
}

// Shutdown refuses new calls, cancels streams and waits for the calls in
// flight. When ctx ends first, it closes what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	for stream := range s.streams {
		stream.cancel(errShutdown)
	}
	s.mu.Unlock()

	faults := make([]error, len(closers))
	var closed sync.WaitGroup
	for i, end := range closers {
		closed.Go(func() { faults[i] = end(ctx) })
	}
	closed.Wait()
	for s.inFlight.Load() > 0 {
		select {
		case <-s.idle:
		case <-ctx.Done():
			return errors.Join(errors.Join(faults...), ctx.Err())
		}
	}
	return errors.Join(faults...)
}

// enter counts a call in and returns the function that counts it out, or a
// *connect.Error where the server is full or closing.
func (s *Server) enter(stream bool) (leave func(), err error) {
	var full bool
	if now := s.inFlight.Add(1); stream {
		full = s.streaming.Add(1) > int64(s.config.MaxStreams)
	} else {
		full = now-s.streaming.Load() > int64(s.config.MaxInFlight)
	}
	switch {
	case s.closing.Load():
		s.leave(stream)
		s.metrics.refused.WithLabelValues("shutdown").Inc()
		return nil, connect.NewError(connect.CodeUnavailable, errShutdown)
	case full:
		s.leave(stream)
		s.metrics.refused.WithLabelValues("in_flight").Inc()
		return nil, connect.NewError(connect.CodeResourceExhausted, errServerFull)
	}
	s.metrics.inFlight.Inc()
	return func() { s.metrics.inFlight.Dec(); s.leave(stream) }, nil
}

func (s *Server) leave(stream bool) {
	if stream {
		s.streaming.Add(-1)
	}
	if s.inFlight.Add(-1) == 0 && s.closing.Load() {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// Address returns where the first Serve listens, in the form of
// Endpoint.Address; empty before it.
func (s *Server) Address() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.address
}

// security returns the TLS to speak on a listener, nil for plain text, or
// errPlain where that would leave the machine.
func (s *Server) security(address net.Addr) (*tls.Config, error) {
	if address.Network() == "unix" {
		return nil, nil
	}
	if s.config.TLS != nil {
		return s.config.TLS.Clone(), nil
	}
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil, nil
	}
	return nil, errPlain
}
