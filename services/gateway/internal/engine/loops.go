package engine

import (
	"context"
	"net"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Loops serve plain connections in the server's place and hand back what is
// not for them. The server counts such connections as its own.
type Loops interface {
	// Adopt takes a connection over, false where it cannot.
	Adopt(nc net.Conn) bool
	// Counts are the connections that they have now.
	Counts() LoopCounts
}

// LoopCounts are connections by what they are doing.
type LoopCounts struct{ Idle, Heading, Serving int }

// SetLoops is called before the first listener is opened.
func (s *Server) SetLoops(loops Loops) { s.loops = loops }

// delegate gives a connection to the loops, false where the server has to
// serve it.
func (s *Server) delegate(nc net.Conn) bool {
	if s.loops == nil || s.draining.Load() {
		return false
	}
	if s.open.Add(1) > int64(s.config.MaxConnections) || !s.loops.Adopt(nc) {
		s.open.Add(-1)
		return false
	}
	s.metrics.accepted.Inc()
	return true
}

// Continue serves a connection that a loop has given back from its next
// request on, of which some bytes were read, until it ends.
func (s *Server) Continue(nc net.Conn, read []byte) {
	defer s.open.Add(-1)
	s.serve(nc, nil, read, nil)
}

// Resume serves a connection that a loop has given back in the middle of an
// exchange, of which no more than the head was looked at, until it ends.
// in[:head] is what x is views of, in[head:] what was read behind it; both
// belong to the server now. serve answers x in the Handler's place.
func (s *Server) Resume(nc net.Conn, x *exchange.Exchange, in []byte, head int, serve func(ctx context.Context, x *exchange.Exchange) error) {
	defer s.open.Add(-1)
	c := conns.Get().(*conn) //nolint:forcetypeassert // the pool's own
	c.x = *x
	c.in, c.r, c.w = in[:cap(in)], head, len(in)
	c.live(s, nc, func(ctx context.Context) bool {
		c.since.Store(c.x.Began.UnixNano())
		c.phase.Store(uint32(serving))
		c.request.begin(&c.x.Request, c.r)
		c.answer.begin()
		if over, linger := c.served(serve(ctx, &c.x)); over {
			return linger
		}
		return c.exchanges(ctx)
	})
}

// Left tells that a connection which a loop or something else has served is
// closed.
func (s *Server) Left() { s.open.Add(-1) }

// Draining tells that answers are to end their connections.
func (s *Server) Draining() bool { return s.draining.Load() }

// CountRequest counts a request that a loop has begun to serve.
func (s *Server) CountRequest() { s.metrics.requests.Inc() }
