// Package engine serves HTTP/1.1 and 1.0 over byte streams: TCP, unix sockets
// and TLS. Each connection has a goroutine, which reads a head, hands the
// exchange to a Handler, and goes on with what came behind it.
//
//	engine.go   Config, Server
//	listen.go   the set of listeners, which changes at run time
//	beside_*.go one opened beside another that has its port
//	accept.go   what a new connection speaks
//	conn.go     one connection: heads in, exchanges out
//	body.go     bodies of requests
//	answer.go   answers
//	splice_*.go bodies moved by the kernel
//	file.go     and files
//	upgrade.go  connections that change their protocol
//	sweep.go    clients that have gone, and drain
//	loops.go    what event loops serve in its place, and hand back
//	metrics.go  connections by state
//
// It decides nothing about requests; that is the Handler's. What speaks
// HTTP/2 is handed on. Timeouts are kept lazily: a deadline that is in force
// already and earlier than needed is left alone, and looked at again when it
// fires, so that the plain path sets none.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

// Config of a Server. Zero fields mean the defaults.
type Config struct {
	Handler exchange.Handler
	// HTTP2 serves a connection whose client speaks HTTP/2 (by ALPN, or by
	// prior knowledge without TLS) until it ends. read are the bytes that have
	// been read already, alternative is that of the listener. nil: such
	// clients are refused.
	HTTP2 func(ctx context.Context, conn net.Conn, read []byte, alternative func() []byte)

	// Refused sees what was answered without becoming an exchange: malformed
	// heads and those that did not come in time. Of x the answer's status, the
	// fault and the client's address are set. nil: nobody does.
	Refused func(x *exchange.Exchange)

	HeaderTimeout    time.Duration // of a request's head; default 10 s
	IdleTimeout      time.Duration // between requests; default 2 min
	BodyTimeout      time.Duration // without a byte of a request's body; default 1 min
	WriteTimeout     time.Duration // without a byte that the client takes; default 1 min
	HandshakeTimeout time.Duration // of TLS; default 10 s
	MaxHeader        int           // bytes of a request's head; default 64 KiB
	MaxConnections   int           // at once; default 65,536

	// Open opens a listener; default net.Listen. A process that takes over
	// from another gives one that finds the sockets it inherited.
	Open       func(ctx context.Context, address string) (net.Listener, error)
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Server serves connections. It is safe for concurrent use.
type Server struct {
	config  Config
	limits  h1.Limits
	metrics *metrics
	loops   Loops           // nil: there are none
	base    context.Context //nolint:containedctx // parent of connections' contexts, which outlive calls
	cut     context.CancelFunc

	open     atomic.Int64 // connections
	draining atomic.Bool  // answers end their connections
	tick     atomic.Int64 // Unix nanoseconds, of the last sweep
	dated    atomic.Pointer[dated]
	closed   chan struct{} // by Close: the sweeper ends
	closing  sync.Once
	workers  sync.WaitGroup // accept loops and the sweeper

	changing sync.Mutex // held while the set of listeners changes

	mu        sync.Mutex
	listeners map[string]*listener // by address
	retired   map[string]*listener // that have left the set, and may be open for a moment yet
	conns     map[*conn]struct{}
	foreign   map[net.Conn]struct{} // that HTTP2 serves
	idleBy    time.Time             // while draining: when idle connections are closed
}

// New returns a server without listeners.
func New(config Config) *Server {
	setDefaults(&config)
	s := &Server{
		config: config, limits: h1.Limits{Head: config.MaxHeader}, closed: make(chan struct{}),
		listeners: map[string]*listener{}, retired: map[string]*listener{}, conns: map[*conn]struct{}{}, foreign: map[net.Conn]struct{}{},
	}
	s.base, s.cut = context.WithCancel(context.Background())
	s.metrics = newMetrics(config.Registerer, s)
	s.tick.Store(time.Now().UnixNano())
	s.workers.Go(s.sweep)
	return s
}

func setDefaults(c *Config) {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&c.HeaderTimeout, 10 * time.Second},
		{&c.IdleTimeout, 2 * time.Minute},
		{&c.BodyTimeout, time.Minute},
		{&c.WriteTimeout, time.Minute},
		{&c.HandshakeTimeout, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if c.MaxHeader == 0 {
		c.MaxHeader = 64 << 10
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 65536
	}
	if c.Open == nil {
		c.Open = func(ctx context.Context, address string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", address)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// ServeConn serves a connection that something else has accepted, until it
// ends, as one of listener l. read are bytes that have been read of it already.
func (s *Server) ServeConn(nc net.Conn, read []byte, l *Listener) {
	if !s.Enter() {
		_ = nc.Close()
		return
	}
	defer s.Left()
	s.accept(nc, read, l)
}

// Enter counts a connection that something else serves among the server's own,
// false where that would be too many. Left ends it.
func (s *Server) Enter() bool {
	if s.open.Add(1) > int64(s.config.MaxConnections) || s.ended() {
		s.open.Add(-1)
		s.metrics.refused.Inc()
		return false
	}
	return true
}

func (s *Server) ended() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// isTimeout tells a deadline that has passed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
