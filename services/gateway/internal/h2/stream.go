package h2

import (
	"io"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// stream is one stream of a connection, whose mu guards it.
type stream struct {
	conn    *conn
	id      uint32
	changed sync.Cond // anything below
	open    bool      // in the connection's table
	err     error     // why it ended before its time

	// What comes.
	body      queue
	received  int   // bytes that the peer may still send
	unacked   int   // bytes read and not announced
	declared  int64 // content-length; exchange.Unknown: none
	counted   int64 // bytes that came
	remoteEnd bool
	eof       bool // the reader knows that the body has ended
	trailers  exchange.Fields
	arena     exchange.Arena // of trailers

	// What goes.
	window    int   // bytes that the peer takes
	lastFrame int64 // where its last frame begins in all that was written; -1: none
	localEnd  bool
	waiting   bool // for the connection's window

	// Who uses it.
	served *served
	call   *Call
}

// begin puts a stream in the table. mu is held.
func (s *stream) begin(c *conn, id uint32, declared int64) {
	s.conn, s.id, s.declared = c, id, declared
	s.changed.L = &c.mu
	s.received, s.window, s.lastFrame = c.limits.StreamWindow, c.peer.window, -1
	s.open = true
	c.streams[id] = s
}

// read reads of the body that comes.
func (s *stream) read(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.body.size > 0:
			n := s.body.read(p)
			s.consumed(n)
			return n, nil
		case s.remoteEnd:
			s.eof = true
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		case c.err != nil:
			return 0, c.err
		case len(p) == 0:
			return 0, nil
		}
		if len(c.out) > 0 && !c.flushing {
			c.flush() // nothing of ours may lie here while we wait
			continue
		}
		s.changed.Wait()
	}
}

// consumed opens the windows again. mu is held.
func (s *stream) consumed(n int) {
	c := s.conn
	before := len(c.out)
	c.credit(n)
	s.unacked += n
	if s.unacked >= c.limits.StreamWindow/4 && s.open && !s.remoteEnd {
		c.out = appendWindowUpdate(c.out, s.id, s.unacked)
		s.received += s.unacked
		s.unacked = 0
	}
	if len(c.out) > before {
		c.flush()
	}
}

// writable tells why nothing can be written any more. mu is held.
func (s *stream) writable() error {
	switch {
	case s.err != nil:
		return s.err
	case s.localEnd:
		return errEnded
	default:
		return s.conn.err
	}
}

var errEnded = malformed("write after the end")

// writeHead puts a header block before what follows; it is not sent yet.
func (s *stream) writeHead(block []byte, end bool) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	s.appendHead(block, end)
	return nil
}

// appendHead is writeHead with mu held.
func (s *stream) appendHead(block []byte, end bool) {
	c := s.conn
	flags := byte(0)
	if end {
		flags = flagEndStream
	}
	s.lastFrame = c.sent + int64(len(c.out))
	c.out = appendHeaders(c.out, s.id, flags, block, c.peer.maxFrame)
	if end {
		s.ended()
	}
}

// write writes some of the body, as the windows allow.
func (s *stream) write(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for total < len(p) {
		if err := s.writable(); err != nil {
			return total, err
		}
		if len(c.out) >= maxOut {
			if c.flush(); len(c.out) >= maxOut && c.flushing {
				c.room.Wait()
			}
			continue
		}
		n := min(len(p)-total, s.window, c.window, c.peer.maxFrame, maxOut)
		if n <= 0 {
			if err := s.await(); err != nil {
				return total, err
			}
			continue
		}
		s.lastFrame = c.sent + int64(len(c.out))
		c.out = append(appendFrame(c.out, n, frameData, 0, s.id), p[total:total+n]...)
		s.window, c.window, total = s.window-n, c.window-n, total+n
		c.owed = min(c.owed+framesOwed, controlBurst)
		if len(c.out) >= flushAt {
			c.flush()
		}
	}
	return total, nil
}

// await waits until the peer opens its window. mu is held.
func (s *stream) await() error {
	c := s.conn
	if len(c.out) > 0 && !c.flushing {
		c.flush()
		return nil
	}
	expired := false
	timer := time.AfterFunc(c.limits.WriteTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		expired = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.waiting = true
	c.blocked++
	for !expired && s.writable() == nil && min(s.window, c.window) <= 0 {
		s.changed.Wait()
	}
	s.waiting = false
	c.blocked--
	if expired && s.writable() == nil && min(s.window, c.window) <= 0 {
		return exchange.ErrTooSlow
	}
	return nil
}

// flush sends what was written.
func (s *stream) flush() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	if s.err != nil {
		return s.err
	}
	return c.err
}

// end ends our side, with a block of trailers if there are any.
func (s *stream) end(trailers []byte) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	switch {
	case len(trailers) > 0:
		s.appendHead(trailers, true)
	case s.lastFrame >= c.sent: // not sent yet
		c.out[s.lastFrame-c.sent+4] |= flagEndStream
		s.ended()
	default:
		c.out = appendFrame(c.out, 0, frameData, flagEndStream, s.id)
		s.ended()
	}
	c.flush()
	return nil
}

// ended notes the end of our side. mu is held.
func (s *stream) ended() {
	s.localEnd = true
	if s.remoteEnd {
		s.leave()
	}
}

// peerEnded notes the end of the peer's side. mu is held.
func (s *stream) peerEnded() error {
	if s.declared >= 0 && s.counted != s.declared {
		return errShort
	}
	s.remoteEnd = true
	if s.localEnd {
		s.leave()
	}
	s.changed.Broadcast()
	return nil
}

// reset ends it with an error that the peer is told. mu is held.
func (s *stream) reset(fault *StreamError) {
	if !s.open {
		return
	}
	c := s.conn
	c.out = appendReset(c.out, s.id, fault.Code)
	c.remember(s.id)
	s.close(fault)
}

// close ends it with an error. mu is held.
func (s *stream) close(err error) {
	if s.err == nil {
		s.err = err
	}
	if !s.remoteEnd {
		s.conn.credit(s.body.clear())
	}
	s.leave()
	s.changed.Broadcast()
}

// leave takes it out of the table. mu is held.
func (s *stream) leave() {
	if !s.open {
		return
	}
	c := s.conn
	s.open = false
	delete(c.streams, s.id)
	if s.err == nil {
		c.ended[c.endedAt] = s.id
		c.endedAt = (c.endedAt + 1) % keptEnds
	}
	c.side.closed(s)
}
