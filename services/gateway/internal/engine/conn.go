package engine

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/socket"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

// phase is what a connection is doing.
type phase uint32

const (
	idle     phase = iota // between requests
	heading               // a head has begun to come
	serving               // an exchange is on its way
	upgraded              // another protocol
	ending                // to be closed
	phases
)

func (p phase) String() string {
	return [...]string{"idle", "heading", "serving", "upgraded", "ending"}[p]
}

const (
	firstBuffer = 4 << 10
	// keptBuffer is the largest that is kept for the next connection.
	keptBuffer = 16 << 10
	// held is how much of an answer is held back until Flush or End.
	held = 8 << 10
)

// conn is one connection. Its goroutine runs the exchanges; ReadBody may run
// in another beside the methods that write.
type conn struct {
	server *Server
	net    net.Conn
	sock   socket.Socket // net, read and written
	tcp    *net.TCPConn  // net, where it is plain TCP
	cancel context.CancelFunc
	x      exchange.Exchange
	phase  atomic.Uint32
	since  atomic.Int64  // Unix nanoseconds: when the exchange began
	first  bool          // no request has come yet
	other  func() []byte // the listener's Alternative

	in     []byte // in[r:w] is unread
	r, w   int
	known  int         // bytes of a head that were looked at in vain
	readBy int64       // deadline of reading in force, Unix nanoseconds; 0: none
	stop   atomic.Bool // reading is to end now

	request request
	answer  answer
}

var conns = sync.Pool{New: func() any {
	return &conn{in: make([]byte, firstBuffer), answer: answer{out: make([]byte, 0, firstBuffer)}}
}}

// serve runs the exchanges of a connection until it ends.
func (s *Server) serve(nc net.Conn, state *tls.ConnectionState, read []byte, alternative func() []byte) {
	c := conns.Get().(*conn) //nolint:forcetypeassert // the pool's own
	c.first, c.other = true, alternative
	c.x.Request.TLS = state
	c.w = c.push(read)
	c.live(s, nc, c.exchanges)
}

// live is the life of a connection, in which run has the exchanges served.
func (c *conn) live(s *Server, nc net.Conn, run func(ctx context.Context) (linger bool)) {
	ctx, cancel := context.WithCancel(s.base)
	c.server, c.net, c.cancel = s, nc, cancel
	c.sock.Open(nc)
	c.tcp, _ = nc.(*net.TCPConn)
	c.x.Client, c.x.Request.Remote = c, remote(nc)
	s.track(c)
	over := run(ctx)
	s.untrack(c)
	cancel()
	if over {
		c.linger()
	}
	_ = nc.Close()
	c.recycle()
}

func remote(nc net.Conn) netip.AddrPort {
	if tcp, is := nc.RemoteAddr().(*net.TCPAddr); is {
		at := tcp.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}

// recycle makes the connection's memory ready for another one.
func (c *conn) recycle() {
	in, out := c.in, c.answer.out
	if cap(in) > keptBuffer {
		in = make([]byte, firstBuffer)
	}
	if cap(out) > keptBuffer {
		out = make([]byte, 0, firstBuffer)
	}
	c.x.Reset()
	kept := conn{in: in[:cap(in)], answer: answer{out: out[:0]}}
	kept.x.Request.Fields, kept.x.Response.Fields = c.x.Request.Fields, c.x.Response.Fields
	kept.x.Arena = c.x.Arena
	conns.Put(renew(c, &kept))
}

// renew overwrites c field by field, as it holds atomics.
func renew(c, kept *conn) *conn {
	c.server, c.net, c.tcp, c.cancel, c.x = nil, nil, nil, nil, kept.x
	c.phase.Store(uint32(idle))
	c.since.Store(0)
	c.stop.Store(false)
	c.other = nil
	c.first, c.in, c.r, c.w, c.known, c.readBy = false, kept.in, 0, 0, 0, 0
	c.request.reset()
	c.answer.renew(kept.answer.out)
	return c
}

// exchanges serves one request after another. It tells whether the client may
// still be sending, so that closing at once would lose our answer.
func (c *conn) exchanges(ctx context.Context) (linger bool) {
	for {
		if ok, linger := c.nextHead(); !ok {
			return linger
		}
		c.begin()
		if over, linger := c.served(c.server.config.Handler.Serve(ctx, &c.x)); over {
			return linger
		}
	}
}

// served tells whether the connection ends after the exchange that was served.
func (c *conn) served(err error) (over, linger bool) {
	switch {
	case err != nil || !c.answer.ended || c.answer.broken:
		return true, false
	case !c.rest():
		return true, true
	default:
		return c.answer.last, c.w > c.r
	}
}

// begin makes ready for the exchange whose head has been read.
func (c *conn) begin() {
	now := time.Now()
	c.x.Began = now
	c.x.Request.Secure = c.x.Request.TLS != nil
	c.since.Store(now.UnixNano())
	c.phase.Store(uint32(serving))
	c.request.begin(&c.x.Request, c.r)
	c.answer.begin()
	c.server.metrics.requests.Inc()
}

// nextHead reads a head into the exchange, false where there is none.
func (c *conn) nextHead() (ok, linger bool) {
	c.x.Reset()
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	c.known = 0
	by := c.server.idleUntil(c.first)
	if c.w > 0 {
		c.phase.Store(uint32(heading))
		by = time.Now().Add(c.server.config.HeaderTimeout).UnixNano()
	} else if !c.becomeIdle() {
		return false, false
	}
	for {
		if c.w > 0 {
			if c.first && c.handedOn() {
				return false, false
			}
			if ok, done, linger := c.parse(); done {
				return ok, linger
			}
		}
		n, err := c.read(c.in[c.w:], by)
		if n > 0 && c.w == 0 {
			c.phase.Store(uint32(heading))
			by = time.Now().Add(c.server.config.HeaderTimeout).UnixNano()
		}
		c.w += n
		if err != nil && n == 0 {
			if c.w > 0 && isTimeout(err) {
				c.refuse(http.StatusRequestTimeout, "header: not complete in time")
			}
			return false, false
		}
	}
}

// becomeIdle tells the drain that nothing is under way, false where the
// connection is to end instead.
func (c *conn) becomeIdle() bool {
	c.phase.Store(uint32(idle))
	return !c.stop.Load()
}

// idleUntil is when a connection that sends nothing ends.
func (s *Server) idleUntil(first bool) int64 {
	wait := s.config.IdleTimeout
	if first {
		wait = s.config.HeaderTimeout
	}
	return s.tick.Load() + int64(wait+sweepEvery)
}

// parse looks for a head in what has come. done: there is one (ok), or the
// connection ends.
func (c *conn) parse() (ok, done, linger bool) {
	if !h1.Worth(c.in[:c.w], c.known, c.server.limits) && c.w < len(c.in) {
		return false, false, false
	}
	n, err := h1.ParseRequest(c.in[:c.w], &c.x.Request, c.server.limits)
	if err != nil {
		c.server.metrics.malformed.Inc()
		if c.first && h1.Alien(c.in[:c.w]) {
			return false, true, true // it would not understand an answer
		}
		c.refuse(h1.StatusOf(err), err.Error())
		return false, true, true
	}
	if n > 0 {
		c.r, c.first = n, false
		return true, true, false
	}
	c.known = c.w
	if c.w == len(c.in) {
		larger := make([]byte, 2*len(c.in))
		copy(larger, c.in)
		c.in = larger
	}
	return false, false, false
}

// handedOn gives a connection of HTTP/2 away.
func (c *conn) handedOn() bool {
	is, maybe := beginsHTTP2(c.in[:c.w])
	for maybe && !is {
		n, err := c.read(c.in[c.w:], c.server.idleUntil(true))
		if n == 0 && err != nil {
			return true
		}
		c.w += n
		is, maybe = beginsHTTP2(c.in[:c.w])
	}
	if is {
		c.server.untrack(c)
		c.server.handOn(c.net, c.in[:c.w], c.other)
	}
	return is
}

// read reads what there is, waiting until a time at the latest.
func (c *conn) read(p []byte, by int64) (int, error) {
	if c.readBy == 0 || c.readBy > by {
		c.setReadBy(by)
	}
	for {
		n, err := c.sock.Read(p)
		if n > 0 || err == nil || !isTimeout(err) || c.stop.Load() || time.Now().UnixNano() >= by {
			return n, err
		}
		c.setReadBy(by) // the deadline was of something earlier
	}
}

func (c *conn) setReadBy(by int64) {
	c.readBy = by
	_ = c.net.SetReadDeadline(time.Unix(0, by))
	if c.stop.Load() { // by somebody who set the deadline before us
		c.interrupt()
	}
}

// interrupt ends a read that waits, now and from now on.
func (c *conn) interrupt() {
	c.stop.Store(true)
	_ = c.net.SetReadDeadline(longAgo)
}

var longAgo = time.Unix(1, 0)

// push gives bytes that belong to the next request back, and returns where
// the unread ones end.
func (c *conn) push(read []byte) int {
	if len(c.in)-c.w < len(read) {
		larger := make([]byte, max(2*len(c.in), c.w+len(read)))
		copy(larger, c.in[:c.w])
		c.in = larger
	}
	return c.w + copy(c.in[c.w:], read)
}

// refuse answers for a request that never became an exchange, and ends the
// connection.
func (c *conn) refuse(status int, reason string) {
	body, err := json.Marshal(map[string]string{"code": codes[status], "message": reason})
	if err != nil {
		return
	}
	text := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) +
		"\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	c.answer.out = append(append(c.answer.out[:0], text...), body...)
	_ = c.flush()
	if c.server.config.Refused == nil {
		return
	}
	c.x.Reset() // of the request nothing can be believed
	c.x.Response.Status, c.x.Fault = status, "malformed"
	if status == http.StatusRequestTimeout {
		c.x.Fault = "slow_client"
	}
	c.server.config.Refused(&c.x)
}

// codes are Connect's for what the parser refuses.
var codes = map[int]string{
	http.StatusBadRequest: "invalid_argument", http.StatusRequestTimeout: "deadline_exceeded",
	http.StatusRequestURITooLong: "resource_exhausted", http.StatusRequestHeaderFieldsTooLarge: "resource_exhausted",
	http.StatusNotImplemented: "unimplemented", http.StatusHTTPVersionNotSupported: "unimplemented",
	http.StatusExpectationFailed: "failed_precondition",
}

// The bounds of what is read and thrown away.
const (
	discardBytes = 256 << 10
	lingerTime   = time.Second
)

// linger lets the client read our answer before the connection is closed: one
// that is closed with unread bytes is reset, and the answer lost.
func (c *conn) linger() {
	closer, able := c.net.(interface{ CloseWrite() error })
	if !able || closer.CloseWrite() != nil {
		return
	}
	c.stop.Store(false)
	by := time.Now().Add(lingerTime).UnixNano()
	for left := discardBytes; left > 0; {
		n, err := c.read(c.in, by)
		if err != nil {
			return
		}
		left -= n
	}
}

// gone turns an error of the client's side into one of package exchange.
func gone(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exchange.ErrMalformed), errors.Is(err, exchange.ErrTooSlow):
		return err
	case isTimeout(err):
		return exchange.ErrTooSlow
	default:
		return exchange.ErrGone
	}
}
