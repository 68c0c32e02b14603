package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Config of a Server.
type Config struct {
	Limits Limits
	// MaxWorkers is how many streams of all connections are served at once;
	// default 16,384.
	MaxWorkers int
	Handler    exchange.Handler
	Log        *slog.Logger
	Metrics    *Metrics
}

// Server serves connections on which clients speak HTTP/2.
type Server struct {
	config  Config
	workers *workers
	counts  counts
	dates   dates

	mu       sync.Mutex
	conns    map[*serverConn]struct{}
	draining bool
}

// NewServer returns a server. Close ends it.
func NewServer(config Config) *Server {
	config.Limits = config.Limits.withDefaults()
	if config.MaxWorkers <= 0 {
		config.MaxWorkers = 16 << 10
	}
	if config.Metrics == nil {
		config.Metrics = NewMetrics(nil)
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		config: config, workers: newWorkers(config.MaxWorkers), counts: config.Metrics.side("client"),
		conns: map[*serverConn]struct{}{},
	}
}

// Drain asks clients to open no more streams; those open go on, and
// connections end with their last one. New connections are told so at once.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for c := range s.conns {
		c.drain()
	}
}

// Close ends the goroutines of a server whose connections have ended.
func (s *Server) Close() { s.workers.stop() }

// Serve serves one connection, which it closes in the end. read has the bytes
// that were read of it already, with which the client's preface begins. It
// returns once the connection has ended and all its streams are served; ctx
// ends the streams' contexts and the connection. alternative gives the value of
// Alt-Svc in answers, none where it is empty; nil: never any.
func (s *Server) Serve(ctx context.Context, nc net.Conn, read []byte, alternative func() []byte) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &serverConn{server: s, ctx: ctx, alternative: alternative}
	c.init(nc, s.config.Limits, c)
	c.in = make([]byte, max(smallBuffer, len(read)))
	c.end = copy(c.in, read)
	c.remote, c.tls = peerOf(nc)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	s.counts.connections.Inc()
	defer s.counts.connections.Dec()
	s.enter(c)
	err := c.serve()
	s.leave(c)
	c.finish(c.last(), err)
	cancel()
	c.awaitServed()
	var fault *ConnError
	if errors.As(err, &fault) {
		s.counts.errors.WithLabelValues(fault.Code.String()).Inc()
		s.config.Log.Debug("http/2 connection ended by an error", "err", err)
	}
}

func peerOf(nc net.Conn) (netip.AddrPort, *tls.ConnectionState) {
	var remote netip.AddrPort
	if tcp, is := nc.RemoteAddr().(*net.TCPAddr); is {
		remote = tcp.AddrPort()
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	}
	if secure, is := nc.(interface{ ConnectionState() tls.ConnectionState }); is {
		state := secure.ConnectionState()
		return remote, &state
	}
	return remote, nil
}

func (s *Server) enter(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	if s.draining {
		c.drain()
	}
}

func (s *Server) leave(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// serverConn is one connection of a client.
type serverConn struct {
	conn
	server *Server
	ctx    context.Context //nolint:containedctx // parent of its streams'
	remote netip.AddrPort
	tls    *tls.ConnectionState
	seen   int64 // frames at the last tick
	quiet  int   // ticks without a frame or stream

	alternative func() []byte

	// Under conn.mu.
	opened   uint32 // highest stream
	running  int    // streams being served, also such as the client reset
	draining bool
	final    bool   // the last GOAWAY is out: later streams are ignored
	named    uint32 // by it
}

// drainPing marks the PING whose answer tells that the client knows of the
// drain.
const drainPing = 0x6261636b6c6f7421

// drainWait is how long the answer is awaited.
const drainWait = time.Second

func (c *serverConn) serve() error {
	c.mu.Lock()
	c.announce(
		setting{settingMaxStreams, uint32(c.limits.MaxStreams)}, //nolint:gosec // at most 1<<20
		setting{settingConnect, 1})
	c.kick()
	c.mu.Unlock()
	_ = c.net.SetReadDeadline(time.Now().Add(c.limits.HeaderTimeout))
	for c.end < len(Preface) {
		if !isPreface(c.in[:c.end]) {
			return protocolError("preface")
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	if !isPreface(c.in[:len(Preface)]) {
		return protocolError("preface")
	}
	c.start = len(Preface)
	return c.read()
}

func isPreface(b []byte) bool { return string(b) == Preface[:len(b)] }

func (c *serverConn) last() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final {
		return c.named
	}
	return c.opened
}

// awaitServed returns once no stream is being served.
func (c *serverConn) awaitServed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.running > 0 {
		c.room.Wait()
	}
}

// drain sends the first GOAWAY, which stops nothing that is under way.
func (c *serverConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.err != nil {
		return
	}
	c.draining = true
	c.out = appendPing(appendGoAway(c.out, maxWindow, NoError, ""), 0, drainPing)
	c.kick()
	_ = c.net.SetReadDeadline(time.Now().Add(drainWait))
}

// finalGoAway names the last stream that is served. mu is held.
func (c *serverConn) finalGoAway() {
	c.final, c.named = true, c.opened
	c.out = appendGoAway(c.out, c.opened, NoError, "")
	c.kick()
	if len(c.streams) == 0 {
		c.wake()
	}
}

// wake has the reading goroutine look whether it is done.
func (c *serverConn) wake() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

func (c *serverConn) idle(id uint32) bool { return id > c.opened || id%2 == 0 }

func (c *serverConn) goAway(uint32, Code) {}

func (c *serverConn) settled() {}

func (c *serverConn) pong(data uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if data == drainPing && c.draining && !c.final {
		c.finalGoAway()
	}
}

func (c *serverConn) closed(s *stream) {
	if s.err != nil && s.served != nil {
		s.served.ctx.end()
	}
	if c.final && len(c.streams) == 0 {
		c.wake()
	}
}

func (c *serverConn) tick() (time.Duration, error) {
	now := time.Now()
	switch {
	case !c.settings:
		return 0, &ConnError{SettingsTimeout, "preface and SETTINGS did not come in time"}
	case c.blockHead.stream != 0:
		if left := c.limits.HeaderTimeout - now.Sub(c.blockSince); left > 0 {
			return left, nil
		}
		return 0, &ConnError{EnhanceYourCalm, "head did not come in time"}
	}
	if c.draining && !c.final {
		c.finalGoAway()
	}
	if c.final && len(c.streams) == 0 {
		return 0, errDrained
	}
	if len(c.streams) > 0 || c.frames != c.seen {
		c.seen, c.quiet = c.frames, 0
	} else if c.quiet++; c.quiet >= 2 {
		return 0, errIdle
	}
	return c.limits.IdleTimeout / 2, nil
}

var (
	errDrained = &ConnError{NoError, "drained"}
	errIdle    = &ConnError{NoError, "idle"}
)
