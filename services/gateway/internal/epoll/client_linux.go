package epoll

import (
	"net/http"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
)

// state is what a client's connection is doing.
type state uint8

const (
	idle      state = iota // between requests
	heading                // a head has begun to come
	holding                // its body is read whole
	trying                 // an endpoint is asked
	relaying               // an answer goes out
	lingering              // our last answer is out; what comes is thrown away
	closed
	states
)

// The bounds of what is read and thrown away, as package engine has them.
const (
	discardBytes = 256 << 10
	lingerTime   = 1e9
)

// client is a client's connection. While it is idle it has no buffers.
type client struct {
	socket
	loop   *loop
	work   *work
	remote netip.AddrPort
	by     int64 // deadline, Unix nanoseconds
	state  state
	first  bool // no request has come yet
	queued bool // in loop.again
	ready  bool // in loop.ready
	place  int  // in loop.active, while an exchange is under way
	left   int  // bytes that may still be thrown away
}

const (
	// headBytes is what a head is read into at first: connections that are slow
	// to send one cost little.
	headBytes = 4 << 10
	// heldBytes is the largest body that is held with its head.
	heldBytes = 12 << 10
	// bufferBytes is what answers are read into.
	bufferBytes = 16 << 10
	// mostSpare works are kept by a loop.
	mostSpare = 256
	// mostKept bounds the memory that a work keeps.
	mostKept = 64 << 10
)

// work is what an exchange needs: buffers, and what is known of it.
type work struct {
	x    exchange.Exchange
	plan relay.Plan

	in    []byte // in[r:w] is unread; before r is the head that x has views of
	r, w  int
	known int // bytes of a head that were looked at in vain

	out      []byte // to be sent: pending is what is left of it, then tail
	pending  []byte
	tail     []byte // of up
	up       []byte // up[ur:uw] came from the endpoint; nil before the first try
	ur, uw   int
	fresh    bool // as reset leaves it
	admitted bool
	begun    bool // Decide was called
	last     bool // the connection ends after the answer
	headed   bool // the answer has begun
	chunk    bool // the answer goes in chunks
	complete bool // all of the answer is in pending and tail
	writeBy  int64

	try try
}

func (l *loop) takeWork() *work {
	if n := len(l.spare); n > 0 {
		w := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return w
	}
	return &work{in: make([]byte, headBytes)}
}

// dropWork takes the buffers from a client that has nothing in them.
func (c *client) dropWork() {
	w := c.work
	c.work = nil
	if w == nil || len(c.loop.spare) >= mostSpare {
		return
	}
	if !w.fresh {
		w.reset()
	}
	w.r, w.w, w.known = 0, 0, 0
	if len(w.in) > mostKept {
		w.in = make([]byte, headBytes)
	}
	c.loop.spare = append(c.loop.spare, w)
}

// reset makes ready for the next exchange of the connection.
func (w *work) reset() {
	if cap(w.out) > mostKept {
		w.out = nil
	}
	w.x.Reset()
	w.plan = relay.Plan{}
	w.out, w.pending, w.tail, w.ur, w.uw = w.out[:0], nil, nil, 0, 0
	w.admitted, w.begun, w.last, w.headed, w.chunk, w.complete, w.writeBy = false, false, false, false, false, false, 0
	tried := w.try.tried[:0]
	w.try = try{}
	w.try.tried = tried
	w.fresh = true
}

// welcome begins to serve a connection.
func (l *loop) welcome(fd int, remote netip.AddrPort) {
	c := &client{socket: socket{fd: fd, writable: true}, loop: l, remote: remote, first: true}
	if l.table.add(&c.socket, c, nil) != nil {
		_ = unix.Close(fd)
		l.set.config.Engine.Left()
		return
	}
	l.clients[c] = struct{}{}
	l.counts[idle]++
	c.by = l.nano + int64(l.set.config.HeaderTimeout)
}

func (c *client) become(s state) {
	if c.state == s {
		return
	}
	l := c.loop
	l.counts[c.state]--
	l.counts[s]++
	was, is := c.state.serving(), s.serving()
	c.state = s
	if is && !was {
		c.place = len(l.active)
		l.active = append(l.active, c)
	} else if was && !is {
		last := len(l.active) - 1
		l.active[c.place] = l.active[last]
		l.active[c.place].place = c.place
		l.active[last] = nil
		l.active = l.active[:last]
	}
}

// serving tells that an exchange is under way.
func (s state) serving() bool { return s == holding || s == trying || s == relaying }

// run goes on until there is something to wait for.
func (c *client) run() {
	for range rounds {
		more := false
		switch c.state {
		case idle, heading:
			more = c.readHead()
		case holding:
			more = c.readHeld()
		case trying:
			more = c.askEndpoint()
		case relaying:
			more = c.relayAnswer()
		case lingering:
			more = c.discard()
		case closed, states:
		}
		if !more {
			return
		}
	}
	if !c.queued {
		c.queued = true
		c.loop.again = append(c.loop.again, c)
	}
}

// readHead reads towards a head. It returns true where there is more to do.
func (c *client) readHead() bool {
	if c.work != nil && c.work.w > 0 && c.work.known < c.work.w {
		if done := c.parse(); done {
			return c.state != closed
		}
	}
	if !c.readable {
		c.rest()
		return false
	}
	if c.work == nil {
		c.work = c.loop.takeWork()
	}
	w := c.work
	n, over := c.receive(w.in[w.w:])
	if over {
		c.close()
		return false
	}
	if n == 0 {
		c.rest()
		return false
	}
	if w.w += n; c.state == idle {
		c.become(heading)
		c.by = c.loop.nano + int64(c.loop.set.config.HeaderTimeout)
	}
	return true
}

// rest waits for the next request, without buffers while nothing of it is there.
func (c *client) rest() {
	if c.work == nil || c.work.w > 0 {
		return
	}
	c.dropWork()
	if c.state != idle {
		c.become(idle)
	}
}

// parse looks for a head. done: there is one, or the connection has left.
func (c *client) parse() (done bool) {
	w, set := c.work, c.loop.set
	b := w.in[:w.w]
	if !h1.Worth(b, w.known, set.limits) && w.w < len(w.in) {
		w.known = w.w
		return false
	}
	w.fresh = false
	n, err := h1.ParseRequest(b, &w.x.Request, set.limits)
	if err != nil || c.first && mayBeHTTP2(b) {
		c.leave()
		return true
	}
	if n == 0 {
		w.known = w.w
		if w.w == len(w.in) {
			w.grow(2 * len(w.in))
		}
		return false
	}
	w.r, c.first = n, false
	c.begin()
	return true
}

// grow makes room for n bytes of head and body. What x has views of stays where
// it was.
func (w *work) grow(n int) {
	larger := make([]byte, n)
	copy(larger, w.in[:w.w])
	w.in = larger
}

// mayBeHTTP2 tells what may become HTTP/2's preface, which the engine knows.
func mayBeHTTP2(b []byte) bool { return len(b) >= 3 && b[0] == 'P' && b[1] == 'R' && b[2] == 'I' }

// timeOutHead answers for a head that did not come whole in time.
func (c *client) timeOutHead() {
	w := c.work
	w.x.Refuse(http.StatusRequestTimeout, "deadline_exceeded", "header: not complete in time", "slow_client")
	out := h1.AppendResponse(w.out[:0], &w.x.Response, h1.ResponseOptions{Protocol: exchange.HTTP11, Close: true})
	_, _, _ = c.send(append(out, w.x.Answer...), nil)
	w.x.Request.Remote = c.remote
	c.loop.set.config.Relay.Refused(&w.x)
	c.close()
}

// lookIdle is called for connections without an exchange, now and then.
func (c *client) lookIdle() {
	switch {
	case c.broken:
		c.close()
	case c.loop.nano >= c.by:
		if c.state == heading {
			c.timeOutHead()
			return
		}
		c.close()
	case c.state == idle && c.loop.idleOver():
		c.close()
	}
}

// idleOver tells that a drain has waited long enough for idle connections.
func (l *loop) idleOver() bool {
	if !l.set.config.Engine.Draining() {
		l.drainSeen = 0
		return false
	}
	if l.drainSeen == 0 {
		l.drainSeen = l.nano
	}
	return l.nano-l.drainSeen >= lingerTime
}

// discard throws away what comes after our last answer.
func (c *client) discard() bool {
	if !c.readable {
		return false
	}
	n, over := c.receive(c.work.in)
	if c.left -= n; over || c.left <= 0 {
		c.close()
		return false
	}
	return n > 0
}

// linger lets the client read our last answer: a connection that is closed
// with unread bytes is reset, and the answer lost.
func (c *client) linger() {
	if unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
		c.close()
		return
	}
	c.become(lingering)
	c.left, c.by = discardBytes, c.loop.nano+lingerTime
}

// close ends a connection that has no exchange.
func (c *client) close() {
	c.forget()
	c.loop.table.close(&c.socket)
	c.loop.set.config.Engine.Left()
}

// forget takes the connection out of the loop's books, but not its socket.
func (c *client) forget() {
	c.become(closed)
	delete(c.loop.clients, c)
	c.dropWork()
}

// reset makes the close of the connection a reset, so that the client sees a
// broken answer and not an end.
func (c *client) reset() {
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
