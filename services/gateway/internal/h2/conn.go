package h2

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const (
	smallBuffer = 4 << 10              // of an idle connection's reading
	largeBuffer = maxFrame + 4*(4<<10) // holds any frame
	// blockRoom is what a header block may have in bytes beyond its list:
	// indexed fields are smaller than what they stand for, but nothing forces
	// a peer to use them.
	blockRoom = 16 << 10
	// blockFrames bounds the frames of one head.
	blockFrames = 64
	// keptResets are streams of our own resetting whose late frames are
	// forgiven.
	keptResets = 128
	// keptEnds are streams that ended well, whose late frames are told apart.
	keptEnds = 16
)

// side is what differs between the ends of a connection.
type side interface {
	// head takes a whole header block. Errors end the connection or, if they
	// are a *StreamError, the stream.
	head(f frame, block []byte) error
	// idle tells whether a stream has never been open. conn.mu is held.
	idle(id uint32) bool
	// goAway is told the last stream that the peer acts on.
	goAway(last uint32, code Code)
	// settled is told of the peer's settings. conn.mu is held.
	settled()
	// pong is told of an answer to a PING.
	pong(data uint64)
	// closed is told of a stream that is in the table no more. conn.mu is held.
	closed(s *stream)
	// tick is called when nothing came for the time given to wait. It returns
	// how long to wait again, or why the connection ends. conn.mu is held.
	tick() (time.Duration, error)
}

// peerSettings are what the peer announced.
type peerSettings struct {
	window     int
	maxFrame   int
	maxStreams uint32
	connect    bool
}

// conn is what both ends of a connection share.
type conn struct {
	net    net.Conn
	limits Limits
	side   side

	// Of the reading goroutine.
	in         []byte
	start, end int
	heads      *headDecoder
	settings   bool // the peer's first ones have come
	block      []byte
	blockHead  frame // of the head whose rest is to come; stream 0: none
	blockCount int
	blockSince time.Time
	control    calm
	resets     calm
	frames     int64 // that came

	mu       sync.Mutex
	err      error // why it is over
	out      []byte
	spare    []byte
	sent     int64 // bytes that left out
	flushing bool
	room     sync.Cond // out got shorter, or flushing ended
	armed    time.Time // when the deadline of writing was set
	streams  map[uint32]*stream
	blocked  int // streams that wait for the connection's window
	window   int // bytes that the peer takes, of all streams
	peer     peerSettings
	received int // bytes that the peer may still send
	unacked  int // bytes read and not announced
	lately   [keptResets]uint32
	latelyAt int
	ended    [keptEnds]uint32
	endedAt  int
	owed     int // frames that the peer may send for what we sent
	answers  int // streams that ended well since resets were last counted
}

func (c *conn) init(nc net.Conn, limits Limits, side side) {
	c.net, c.limits, c.side = nc, limits, side
	c.heads = newHeadDecoder(limits.MaxHeader)
	c.control, c.resets = newCalm(controlBurst, controlRate), newCalm(resetBurst, resetRate)
	c.room.L = &c.mu
	c.streams = map[uint32]*stream{}
	c.window, c.received = defaultWindow, defaultWindow
	c.peer = peerSettings{window: defaultWindow, maxFrame: maxFrame, maxStreams: 100}
}

// announce writes our settings and opens the connection's window.
func (c *conn) announce(settings ...setting) {
	settings = append(settings,
		setting{settingInitialWindow, uint32(c.limits.StreamWindow)}, //nolint:gosec // at most maxWindow
		setting{settingMaxHeaderList, uint32(c.limits.MaxHeader)})    //nolint:gosec // at most 1<<24
	c.out = appendSettings(c.out, settings...)
	if more := c.limits.ConnWindow - defaultWindow; more > 0 {
		c.out = appendWindowUpdate(c.out, 0, more)
		c.received += more
	}
}

// read takes frames until the connection ends; the error says why.
func (c *conn) read() error {
	for {
		for c.end-c.start >= frameHeader {
			f := parseFrame(c.in[c.start:])
			if f.length > maxFrame {
				return &ConnError{FrameSizeError, "frame is larger than announced"}
			}
			if c.end-c.start < frameHeader+f.length {
				break
			}
			payload := c.in[c.start+frameHeader : c.start+frameHeader+f.length]
			c.start += frameHeader + f.length
			c.frames++
			if err := c.receive(f, payload); err != nil {
				if err = c.streamFault(f.stream, err); err != nil {
					return err
				}
			}
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads more bytes, of a frame that may have begun.
func (c *conn) fill() error {
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
	need := frameHeader
	if c.end-c.start >= frameHeader {
		need += parseFrame(c.in[c.start:]).length
	}
	if c.start > 0 && len(c.in)-c.start < need {
		c.end = copy(c.in, c.in[c.start:c.end])
		c.start = 0
	}
	if len(c.in) < need {
		larger := make([]byte, largeBuffer)
		c.end = copy(larger, c.in[c.start:c.end])
		c.in, c.start = larger, 0
	}
	for {
		n, err := c.net.Read(c.in[c.end:])
		if n > 0 {
			c.end += n
			return nil
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errClosed
		}
		if err := c.tick(); err != nil {
			return err
		}
	}
}

// tick sets the next time to look after the connection, unless it is over.
func (c *conn) tick() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait, err := c.side.tick()
	if err != nil {
		return err
	}
	return c.net.SetReadDeadline(time.Now().Add(wait))
}

// streamFault resets the stream whose fault an error is, and passes on what is
// the connection's.
func (c *conn) streamFault(id uint32, err error) error {
	var fault *StreamError
	if !errors.As(err, &fault) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		s.reset(fault)
	} else {
		c.out = appendReset(c.out, id, fault.Code)
		c.remember(id)
	}
	c.kick()
	return c.countReset()
}

// countReset counts a stream that the peer reset, or made us reset, against
// those that ended well. mu is held.
func (c *conn) countReset() error {
	c.resets.give(float64(c.answers))
	c.answers = 0
	if !c.resets.take() {
		return &ConnError{EnhanceYourCalm, "too many streams were reset"}
	}
	return nil
}

// junk counts a frame that carries nothing.
func (c *conn) junk() error {
	if !c.control.take() {
		return &ConnError{EnhanceYourCalm, "too many frames that carry nothing"}
	}
	return nil
}

// answering counts a frame that peers send because of what we sent them:
// window updates, and the PINGs by which they measure. mu is held.
func (c *conn) answering() error {
	if c.owed > 0 {
		c.owed--
		return nil
	}
	return c.junk()
}

// remember keeps a stream that we reset, so that frames under way are
// forgiven. mu is held.
func (c *conn) remember(id uint32) {
	c.lately[c.latelyAt] = id
	c.latelyAt = (c.latelyAt + 1) % keptResets
}

// forgiven tells whether we reset a stream lately. mu is held.
func (c *conn) forgiven(id uint32) bool {
	for _, reset := range c.lately {
		if reset == id {
			return true
		}
	}
	return false
}

// lastEnded tells whether a stream ended well just now. mu is held.
func (c *conn) lastEnded(id uint32) bool {
	for _, ended := range c.ended {
		if ended == id {
			return true
		}
	}
	return false
}

// fail ends the connection for all its streams. mu is held.
func (c *conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range c.streams {
		s.close(err)
	}
	c.room.Broadcast()
}

// lastWordTime is how long the peer has to take what we say last.
const lastWordTime = time.Second

// lingerTime is how long what the peer had under way is read after the last
// word, so that it gets the word.
const lingerTime = 500 * time.Millisecond

// finish says why the connection ends and closes it.
func (c *conn) finish(last uint32, err error) {
	var fault *ConnError
	code, reason := NoError, ""
	if errors.As(err, &fault) {
		code, reason = fault.Code, fault.Reason
	}
	c.mu.Lock()
	if c.err == nil && err != errClosed { //nolint:errorlint // never wrapped
		c.armed = time.Now()
		_ = c.net.SetWriteDeadline(c.armed.Add(lastWordTime))
		c.out = appendGoAway(c.out, last, code, reason)
		c.awaitFlush()
	}
	spoken := c.err == nil && code != NoError
	c.fail(err)
	c.mu.Unlock()
	if spoken {
		c.linger()
	}
	_ = c.net.Close()
	c.mu.Lock()
	for c.flushing {
		c.room.Wait()
	}
	c.mu.Unlock()
}

// linger reads on for a moment: closing with bytes unread would make the
// kernel drop what was written last.
func (c *conn) linger() {
	if half, can := c.net.(interface{ CloseWrite() error }); !can || half.CloseWrite() != nil {
		return
	}
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	for total := 0; total < 1<<20; {
		n, err := c.net.Read(c.in)
		if err != nil {
			return
		}
		total += n
	}
}

// gone tells whether a body ends because the peer went away, in the words of
// package exchange.
func gone(err error) error {
	if errors.Is(err, exchange.ErrTooSlow) || errors.Is(err, exchange.ErrMalformed) {
		return err
	}
	return exchange.ErrGone
}
