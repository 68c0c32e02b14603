package engine

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

// answer is the state of the answer under way.
type answer struct {
	out     []byte // held back
	vectors [3][]byte
	writeBy int64 // deadline of writing in force, Unix nanoseconds; 0: none

	headed  bool  // the head of the final answer was written
	ended   bool  // complete
	broken  bool  // Abort, or what was written does not fit the head
	last    bool  // the connection ends after it
	chunked bool  // the body goes in chunks
	noBody  bool  // HEAD, 204, 304
	left    int64 // bytes to come of a body of known length; Unknown: until the end
}

func (a *answer) begin() {
	a.out = a.out[:0]
	a.headed, a.ended, a.broken, a.last, a.chunked, a.noBody, a.left = false, false, false, false, false, false, 0
}

func (a *answer) renew(out []byte) {
	a.begin()
	a.out, a.vectors, a.writeBy = out, [3][]byte{}, 0
}

// errMisuse is a Handler that writes what its head does not allow.
var errMisuse = errors.New("the answer's body does not fit its head")

// WriteHead implements exchange.Client.
func (c *conn) WriteHead(r *exchange.Response) error {
	a := &c.answer
	if r.Status < http.StatusOK && r.Status != http.StatusSwitchingProtocols {
		return c.interim(r)
	}
	if a.headed {
		return errMisuse
	}
	o := h1.ResponseOptions{Protocol: c.x.Request.Protocol, Date: c.server.date()}
	if string(c.x.Request.Method) == http.MethodHead {
		r.NoBody = true
	}
	if c.other != nil {
		r.Advertise(c.other())
	}
	o.Close = c.x.Request.ServerEnd || c.server.draining.Load() || c.unwanted() || h1.EndsConnection(r, o)
	a.headed, a.last = true, o.Close
	a.noBody = r.NoBody || r.Status == http.StatusNoContent || r.Status == http.StatusNotModified
	a.chunked = h1.Chunks(r, o)
	a.left = r.Length
	a.out = h1.AppendResponse(a.out, r, o)
	if r.Status == http.StatusSwitchingProtocols {
		return c.flush()
	}
	return nil
}

// interim sends 100 to 199, which HTTP/1.0 does not know.
func (c *conn) interim(r *exchange.Response) error {
	if c.x.Request.Protocol == exchange.HTTP10 {
		return nil
	}
	c.answer.out = h1.AppendResponse(c.answer.out, r, h1.ResponseOptions{Protocol: c.x.Request.Protocol})
	return c.flush()
}

// unwanted tells a body that the answer does not wait for, of which more is to
// come than is worth reading.
func (c *conn) unwanted() bool {
	b := &c.request
	much := b.pending.Load() > discardBytes
	if !c.x.Request.Expect {
		return much
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expect { // it was never told to send
		b.expect, b.refused = false, true
	}
	return much || b.refused
}

// WriteBody implements exchange.Client.
func (c *conn) WriteBody(p []byte) (int, error) {
	a := &c.answer
	if len(p) == 0 {
		return 0, nil
	}
	switch {
	case a.noBody, !a.headed, a.ended:
		return 0, c.misused()
	case a.chunked:
		return c.writeChunk(p)
	case a.left >= 0:
		if int64(len(p)) > a.left {
			return 0, c.misused()
		}
		a.left -= int64(len(p))
	}
	if len(a.out)+len(p) <= held {
		a.out = append(a.out, p...)
	} else if err := c.writeBoth(p, nil); err != nil {
		return 0, err
	}
	c.x.Sent += int64(len(p))
	return len(p), nil
}

func (c *conn) misused() error {
	c.answer.broken = true
	return errMisuse
}

func (c *conn) writeChunk(p []byte) (int, error) {
	a := &c.answer
	a.out = h1.AppendChunk(a.out, len(p))
	if len(a.out)+len(p) <= held {
		a.out = append(append(a.out, p...), h1.ChunkEnd...)
	} else if err := c.writeBoth(p, chunkEnd); err != nil {
		return 0, err
	}
	c.x.Sent += int64(len(p))
	return len(p), nil
}

var chunkEnd = []byte(h1.ChunkEnd)

// writeBoth sends what was held back and p, and then more, in one write where
// the connection can.
func (c *conn) writeBoth(p, more []byte) error {
	a := &c.answer
	if _, secure := c.net.(*net.TCPConn); !secure || len(a.out) == 0 && len(more) == 0 {
		return c.writeApart(p, more)
	}
	c.stallBy()
	a.vectors = [3][]byte{a.out, p, more}
	vectors := net.Buffers(a.vectors[:])
	_, err := vectors.WriteTo(c.net)
	a.out = a.out[:0]
	a.vectors = [3][]byte{}
	return c.wrote(err)
}

// writeApart fills a record of TLS with what was held back before it sends.
func (c *conn) writeApart(p, more []byte) error {
	a := &c.answer
	if len(a.out) > 0 {
		n := min(len(p), cap(a.out)-len(a.out))
		a.out = append(a.out, p[:n]...)
		if err := c.flush(); err != nil {
			return err
		}
		p = p[n:]
	}
	if len(p) > 0 {
		if err := c.write(p); err != nil {
			return err
		}
	}
	a.out = append(a.out, more...)
	return nil
}

// Flush implements exchange.Client.
func (c *conn) Flush() error { return c.flush() }

func (c *conn) flush() error {
	a := &c.answer
	if len(a.out) == 0 {
		return nil
	}
	err := c.write(a.out)
	a.out = a.out[:0]
	return err
}

// write sends all of p.
func (c *conn) write(p []byte) error {
	c.stallBy()
	_, err := c.sock.Write(p)
	return c.wrote(err)
}

func (c *conn) wrote(err error) error {
	if err == nil {
		return nil
	}
	c.answer.broken = true
	return gone(err)
}

// stallBy keeps a deadline in force that lies between one and two write
// timeouts ahead, so that few writes have to set one.
func (c *conn) stallBy() {
	now, limit := time.Now().UnixNano(), int64(c.server.config.WriteTimeout)
	if c.answer.writeBy < now+limit {
		c.answer.writeBy = now + 2*limit
		_ = c.net.SetWriteDeadline(time.Unix(0, c.answer.writeBy))
	}
}

// End implements exchange.Client.
func (c *conn) End(trailers exchange.Fields) error {
	a := &c.answer
	if !a.headed || a.ended || a.broken {
		return c.misused()
	}
	if a.chunked {
		a.out = h1.AppendLastChunk(a.out, trailers)
	}
	if a.left > 0 && !a.noBody {
		a.last = true
		return c.misused()
	}
	err := c.flush()
	a.ended = err == nil
	if a.last {
		c.interrupt() // a ReadBody that waits in another goroutine
	}
	return err
}

// Abort implements exchange.Client.
func (c *conn) Abort() {
	c.answer.broken, c.answer.last = true, true
	c.answer.out = c.answer.out[:0]
	if c.tcp != nil && c.answer.headed {
		_ = c.tcp.SetLinger(0) // so that the client sees a broken answer, not an end
	}
	c.interrupt()
}

// date is the field's value for now, to the second.
func (s *Server) date() []byte {
	now := time.Unix(0, s.tick.Load())
	if d := s.dated.Load(); d != nil && d.at == now.Unix() {
		return d.text
	}
	d := &dated{now.Unix(), []byte(now.UTC().Format(http.TimeFormat))}
	s.dated.Store(d)
	return d.text
}

type dated struct {
	at   int64
	text []byte
}
