package engine

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

// request is what is known of the body of the request under way.
type request struct {
	left    int64        // bytes to come of a body of known length
	pending atomic.Int64 // left, for the writing side
	chunked bool
	done    bool
	err     error // sticky
	decoder h1.Chunked
	base    int    // end of the head in conn.in
	ready   []byte // decoded, not yet taken

	mu      sync.Mutex // of expect, which both sides look at
	expect  bool       // the client waits for 100 Continue
	refused bool       // it waited in vain: the body may never come
}

func (b *request) reset() {
	b.left, b.chunked, b.done, b.err, b.expect, b.refused = 0, false, true, nil, false, false
	b.ready, b.base = nil, 0
	b.pending.Store(0)
}

// begin makes ready for a body behind a head that ends at base.
func (b *request) begin(r *exchange.Request, base int) {
	b.reset()
	b.base = base
	b.left, b.chunked, b.done = r.Length, r.Length == exchange.Unknown, r.Length == 0
	b.expect = r.Expect
	if b.left > 0 {
		b.pending.Store(b.left)
	}
	if b.chunked {
		b.decoder.Reset()
	}
}

// ReadBody implements exchange.Client.
func (c *conn) ReadBody(p []byte) (int, error) {
	b := &c.request
	if b.err != nil {
		return 0, b.err
	}
	if b.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.goOn(); err != nil {
		return 0, c.bodyFailed(err)
	}
	if b.chunked {
		return c.readChunks(p)
	}
	if b.left < int64(len(p)) {
		p = p[:b.left]
	}
	n, err := c.some(p)
	b.left -= int64(n)
	b.pending.Store(b.left)
	c.x.Received += int64(n)
	if b.left == 0 {
		b.done = true
		return n, nil
	}
	if n == 0 && err != nil {
		return 0, c.bodyFailed(err)
	}
	return n, nil
}

func (c *conn) bodyFailed(err error) error {
	c.request.err = gone(err)
	return c.request.err
}

// some reads what was read already, or else from the connection.
func (c *conn) some(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.in[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.read(p, time.Now().Add(c.server.config.BodyTimeout).UnixNano())
}

// readChunks decodes from the buffer, behind the head; what fills a chunk
// beyond it is read straight into p.
func (c *conn) readChunks(p []byte) (int, error) {
	b := &c.request
	for {
		if len(b.ready) > 0 {
			n := copy(p, b.ready)
			b.ready = b.ready[n:]
			c.x.Received += int64(n)
			return n, nil
		}
		if ahead := b.decoder.Ahead(); ahead > 0 && c.r == c.w {
			n, err := c.some(p[:min(int64(len(p)), ahead)])
			if n == 0 && err != nil {
				return 0, c.bodyFailed(err)
			}
			b.decoder.Skip(int64(n))
			c.x.Received += int64(n)
			return n, nil
		}
		data, used, done, err := b.decoder.Next(c.in[c.r:c.w])
		if err != nil {
			return 0, c.bodyFailed(exchange.ErrMalformed)
		}
		c.r += used
		if b.ready = data; done {
			b.done = true
			return 0, io.EOF
		}
		if len(data) > 0 {
			continue
		}
		if err := c.more(); err != nil {
			return 0, c.bodyFailed(err)
		}
	}
}

// more reads framing behind what is unread in the buffer. The head before it,
// which the exchange has views of, stays as it is.
func (c *conn) more() error {
	if len(c.in)-c.w < leastRoom {
		unread := c.in[c.r:c.w]
		if c.r-c.request.base >= leastRoom && len(unread) < leastRoom {
			c.w = c.request.base + copy(c.in[c.request.base:], unread)
			c.r = c.request.base
		} else {
			c.in = append(make([]byte, 0, max(keptBuffer, 2*len(unread))), unread...)
			c.request.base, c.r, c.w = 0, 0, len(unread)
			c.in = c.in[:cap(c.in)]
		}
	}
	n, err := c.read(c.in[c.w:], time.Now().Add(c.server.config.BodyTimeout).UnixNano())
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// leastRoom is how much more() offers to read into.
const leastRoom = 2 << 10

// goOn tells a client that waits for it to send the body.
func (c *conn) goOn() error {
	b := &c.request
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused {
		return exchange.ErrGone
	}
	if !b.expect {
		return nil
	}
	b.expect = false
	return c.write(continueLine)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// RequestTrailers implements exchange.Client.
func (c *conn) RequestTrailers() exchange.Fields {
	if !c.request.chunked || !c.request.done {
		return nil
	}
	return c.request.decoder.Trailers()
}

// rest reads the rest of a body that nobody wanted, false where that is too
// much, so that the connection has to end.
func (c *conn) rest() bool {
	b := &c.request
	if b.done {
		return true
	}
	if b.err != nil || b.expect || b.refused || c.answer.last || b.left > discardBytes {
		return false
	}
	buffer := scratch.Get().(*[scratchBytes]byte) //nolint:forcetypeassert // the pool's own
	defer scratch.Put(buffer)
	for left := discardBytes; left > 0; {
		n, err := c.ReadBody(buffer[:])
		if err != nil {
			return err == io.EOF //nolint:errorlint // our own
		}
		left -= n
	}
	return b.done
}

const scratchBytes = 32 << 10

var scratch = sync.Pool{New: func() any { return new([scratchBytes]byte) }}
