package h2

import (
	"errors"
	"net"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// maxInterim is how many interim answers (1xx) a call may get.
const maxInterim = 16

// upstreamConn is a connection to an upstream.
type upstreamConn struct {
	conn
	pool  *pool
	seen  int64 // frames at the last tick
	quiet time.Duration

	// Under conn.mu.
	next    uint32 // stream
	closing bool   // takes no more calls
	pinged  bool
}

func newUpstreamConn(p *pool, nc net.Conn) *upstreamConn {
	c := &upstreamConn{pool: p, next: 1}
	c.init(nc, p.transport.config.Limits, c)
	c.in = make([]byte, smallBuffer)
	c.out = append(c.out, Preface...)
	c.announce(setting{settingPush, 0})
	return c
}

// run reads until the connection ends.
func (c *upstreamConn) run() {
	t := c.pool.transport
	t.counts.connections.Inc()
	defer t.counts.connections.Dec()
	c.mu.Lock()
	c.kick()
	_ = c.net.SetReadDeadline(time.Now().Add(c.limits.HeaderTimeout))
	c.mu.Unlock()
	err := c.read()
	c.pool.forget(c)
	c.finish(0, err)
	var fault *ConnError
	if errors.As(err, &fault) && fault.Code != NoError {
		t.counts.errors.WithLabelValues(fault.Code.String()).Inc()
		t.config.Log.Warn("http/2 connection to an upstream ended by an error",
			"address", c.pool.endpoint.Address(), "err", err)
	}
}

// hasRoom tells whether one more call fits.
func (c *upstreamConn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roomy()
}

func (c *upstreamConn) roomy() bool {
	return c.err == nil && !c.closing && len(c.streams) < min(c.limits.MaxStreams, int(c.peer.maxStreams))
}

// open begins a call, false where there is no room any more.
func (c *upstreamConn) open(call *Call, end bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.roomy() {
		return false
	}
	call.owner = c
	call.begin(&c.conn, c.next, exchange.Unknown)
	if c.next += 2; c.next > maxWindow-2 {
		c.closing = true
	}
	call.appendHead(call.block, end)
	c.pool.transport.counts.streams.Inc()
	if end {
		c.flush()
	}
	return true
}

// retire lets the connection end with its last call.
func (c *upstreamConn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	if len(c.streams) == 0 {
		c.wake()
	}
}

// wake has the reading goroutine look whether it is done.
func (c *upstreamConn) wake() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// head takes the head or the trailers of an answer.
func (c *upstreamConn) head(f frame, block []byte) error {
	c.mu.Lock()
	s := c.streams[f.stream]
	if s == nil || s.remoteEnd {
		fault := c.notOpen(f.stream, s)
		c.mu.Unlock()
		c.heads.begin(ignoredHead, nil, nil)
		if err := c.heads.decode(block); err != nil {
			return err
		}
		return fault
	}
	call := s.call
	c.mu.Unlock()
	if call.headed {
		return c.trailersCame(f, block, call)
	}
	fields := make(exchange.Fields, 0, 16)
	c.heads.begin(responseHead, &fields, &call.arena)
	if err := c.heads.decode(block); err != nil {
		return err
	}
	return c.headCame(f, call, fields)
}

func (c *upstreamConn) headCame(f frame, call *Call, fields exchange.Fields) error {
	head := &c.heads.head
	if head.tooLarge {
		return &StreamError{Code: Cancel, Reason: "head of the answer is too large"}
	}
	ended := f.has(flagEndStream)
	var r exchange.Response
	if err := head.response(&r, ended, call.toHEAD); err != nil {
		return err
	}
	r.Fields = fields
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Status < 200 {
		if call.interim++; call.interim > maxInterim || ended {
			return malformed("interim answers")
		}
	} else {
		call.headed = true
		call.declared = r.Length
		if r.NoBody {
			call.declared = 0
		}
	}
	call.heads = append(call.heads, r)
	if ended {
		return call.peerEnded()
	}
	call.changed.Broadcast()
	return nil
}

func (c *upstreamConn) trailersCame(f frame, block []byte, call *Call) error {
	c.heads.begin(trailerHead, &call.trailers, &call.arena)
	if err := c.heads.decode(block); err != nil {
		return err
	}
	head := &c.heads.head
	switch {
	case head.err != nil:
		return head.err
	case head.tooLarge:
		return &StreamError{Code: Cancel, Reason: "trailers are too large"}
	case !f.has(flagEndStream):
		return malformed("trailers that do not end the stream")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return call.peerEnded()
}

func (c *upstreamConn) idle(id uint32) bool { return id%2 == 0 || id >= c.next }

// goAway lets the calls end that the upstream acts on; the others may be sent
// elsewhere.
func (c *upstreamConn) goAway(last uint32, code Code) {
	c.pool.forget(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for id, s := range c.streams {
		if id > last {
			s.close(&StreamError{Code: RefusedStream, Reason: "the upstream goes away: " + code.String(), Remote: true})
		}
	}
	if len(c.streams) == 0 {
		c.wake()
	}
}

func (c *upstreamConn) settled() {
	_ = c.net.SetReadDeadline(time.Now().Add(c.wait()))
}

func (c *upstreamConn) pong(uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinged = false
}

func (c *upstreamConn) closed(*stream) {
	if c.closing && len(c.streams) == 0 {
		c.wake()
	}
}

// wait is the time from one tick to the next.
func (c *upstreamConn) wait() time.Duration {
	return min(c.limits.IdleTimeout/2, c.pool.transport.config.PingAfter)
}

var (
	errSilent  = errors.New("http/2 connection: the upstream is silent")
	errRetired = &ConnError{NoError, "no longer used"}
)

func (c *upstreamConn) tick() (time.Duration, error) {
	switch {
	case !c.settings:
		return 0, &ConnError{SettingsTimeout, "SETTINGS did not come in time"}
	case c.blockHead.stream != 0 && time.Since(c.blockSince) >= c.limits.HeaderTimeout:
		return 0, &ConnError{EnhanceYourCalm, "head did not come in time"}
	case c.closing && len(c.streams) == 0:
		return 0, errRetired
	case c.frames != c.seen:
		c.seen, c.quiet, c.pinged = c.frames, 0, false
		return c.wait(), nil
	}
	c.quiet += c.wait()
	switch {
	case len(c.streams) == 0 && c.quiet >= c.limits.IdleTimeout:
		c.closing = true
		return 0, errRetired
	case len(c.streams) > 0 && c.quiet >= c.pool.transport.config.PingAfter:
		if c.pinged {
			return 0, errSilent
		}
		c.pinged, c.quiet = true, 0
		c.out = appendPing(c.out, 0, 1)
		c.kick()
	}
	return c.wait(), nil
}
