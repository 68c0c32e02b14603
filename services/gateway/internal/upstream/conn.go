package upstream

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/socket"
)

// bufferSize is how much is read at once.
const bufferSize = 16 << 10

// buffers are lent to connections while they are in use, so that idle ones
// hold none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Conn is a connection to an endpoint. It belongs to one request at a time.
// net.Conn within is a *net.TCPConn, *net.UnixConn or *tls.Conn.
type Conn struct {
	net.Conn
	// Reused tells that requests went over it before, so that it may have been
	// closed by the other side meanwhile.
	Reused bool
	// Buf is 16 KiB to read into, good until Keep or Close.
	Buf []byte

	// ReadBy and WriteBy are the deadlines in force on the net.Conn within, in
	// Unix nanoseconds, 0: none, noted by who sets them there. Such deadlines
	// stay in force for the next request, which leaves them alone where they
	// are earlier than it needs and looks again when they fire.
	ReadBy, WriteBy int64
	// Socket reads and writes the net.Conn within.
	Socket socket.Socket

	endpoint    *Endpoint
	credentials *credentials // that it was made with
	buffer      *[bufferSize]byte
	alive       aliveness
	timed       bool // a deadline may be set
	once        bool // for a pool of somebody else's
	uses        int
	since       time.Time // idle
	closed      atomic.Bool
}

// Endpoint is the one that it leads to.
func (c *Conn) Endpoint() *Endpoint { return c.endpoint }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.timed = true
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.timed = true
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.timed = true
	return c.Conn.SetWriteDeadline(t)
}

// lend makes a connection ready for a request.
func (c *Conn) lend() *Conn {
	if !c.once {
		c.buffer = buffers.Get().(*[bufferSize]byte)
		c.Buf = c.buffer[:]
	}
	if !c.Socket.Opened() {
		c.Socket.Open(c.Conn)
	}
	c.Reused = c.uses > 0
	c.uses++
	c.endpoint.group.uses[index(c.Reused)].Add(1)
	return c
}

// unlend takes the buffer back.
func (c *Conn) unlend() {
	if c.buffer != nil {
		buffers.Put(c.buffer)
		c.buffer, c.Buf = nil, nil
	}
}

// Keep gives the connection back for the next request: the answer was read to
// its end, nothing is left in Buf and both sides let it live. Deadlines set
// through Conn are taken off. Where it cannot be kept it is closed.
func (c *Conn) Keep() {
	e := c.endpoint
	settings := &e.group.newest.Load().settings
	if c.once || e.draining.Load() || c.stale(settings.Pool.MaxUses) ||
		e.group.queue.open.Load() > int64(settings.MaxConnections) || !c.untimed() {
		c.Close()
		return
	}
	c.unlend()
	c.shelve()
}

// shelve puts a connection among the kept ones, for the first who waits.
func (c *Conn) shelve() {
	g := c.endpoint.group
	if !c.endpoint.idle.put(c, g.set.config.Clock(), g.newest.Load().settings.Pool.MaxIdle) {
		c.Close()
		return
	}
	if g.queue.pending.Load() > 0 {
		g.queue.match()
	}
}

// stale tells that the connection has served its time.
func (c *Conn) stale(mostUses int) bool {
	return c.endpoint.key.secure && c.credentials != c.endpoint.credentials.Load() || mostUses > 0 && c.uses >= mostUses
}

func (c *Conn) untimed() bool {
	if !c.timed {
		return true
	}
	c.timed = false
	return c.Conn.SetDeadline(time.Time{}) == nil
}

// Close closes the connection for good. After Keep or Close it must not be
// touched; a second Close does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	err := c.Conn.Close()
	c.unlend()
	c.endpoint.group.queue.give()
	return err
}

// abandon is Close of an idle connection whose place another is to have.
func (c *Conn) abandon() {
	c.closed.Store(true)
	c.Conn.Close()
}
