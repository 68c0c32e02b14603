package h2

import (
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// served is a stream of a client with its exchange. It implements
// exchange.Client.
type served struct {
	stream
	conn      *serverConn
	exchange  exchange.Exchange
	ctx       *streamContext
	block     []byte
	expecting bool // the client waits for 100 Continue
	answered  bool // the answer's head is written
	single    bool // no other goroutine can be using it after Serve
}

var servedPool = sync.Pool{New: func() any {
	s := &served{ctx: new(streamContext)}
	s.served = s
	s.exchange.Client = s
	return s
}}

// head opens a stream, or takes a request's trailers.
func (c *serverConn) head(f frame, block []byte) error {
	c.mu.Lock()
	known, opened := c.streams[f.stream], c.opened
	ended := known != nil && known.remoteEnd
	c.mu.Unlock()
	switch {
	case f.stream%2 == 0:
		return protocolError("clients open odd streams")
	case known != nil && !ended:
		return c.trailersCame(f, block, known)
	case f.stream <= opened:
		return c.lateHead(f, block, known)
	}
	s := servedPool.Get().(*served) //nolint:forcetypeassert // nothing else is in the pool
	c.heads.begin(requestHead, &s.exchange.Request.Fields, &s.exchange.Arena)
	if err := c.heads.decode(block); err != nil {
		s.recycle()
		return err
	}
	return c.open(f, s)
}

// lateHead is of a stream that has ended.
func (c *serverConn) lateHead(f frame, block []byte, known *stream) error {
	c.heads.begin(ignoredHead, nil, nil)
	if err := c.heads.decode(block); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case known != nil, c.lastEnded(f.stream):
		return &ConnError{StreamClosed, "HEADERS after the end of the stream"}
	case c.forgiven(f.stream):
		return nil
	default:
		return protocolError("stream with a number below an earlier one's")
	}
}

func (c *serverConn) trailersCame(f frame, block []byte, s *stream) error {
	c.heads.begin(trailerHead, &s.trailers, &s.arena)
	if err := c.heads.decode(block); err != nil {
		return err
	}
	head := &c.heads.head
	switch {
	case head.err != nil:
		return head.err
	case head.tooLarge:
		return &StreamError{Code: EnhanceYourCalm, Reason: "trailers are too large"}
	case !f.has(flagEndStream):
		return malformed("trailers that do not end the stream")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.peerEnded()
}

// open puts a decoded request to work.
func (c *serverConn) open(f frame, s *served) error {
	head := &c.heads.head
	x := &s.exchange
	fault := error(nil)
	if !head.tooLarge {
		fault = head.request(&x.Request, f.has(flagEndStream))
	}
	c.mu.Lock()
	if c.err != nil { // writing has failed, and closed all streams there were
		c.mu.Unlock()
		s.recycle()
		return errClosed
	}
	c.opened = f.stream
	c.owed = min(c.owed+1, controlBurst)
	if c.final {
		c.remember(f.stream)
		c.mu.Unlock()
		s.recycle()
		return nil
	}
	if fault == nil && (len(c.streams) >= c.limits.MaxStreams || c.running >= 2*c.limits.MaxStreams) {
		fault = errTooMany
	}
	if fault != nil {
		c.mu.Unlock()
		c.refuse(fault)
		s.recycle()
		return fault
	}
	s.conn, s.expecting = c, x.Request.Expect
	s.begin(&c.conn, f.stream, bodyLength(&x.Request))
	s.remoteEnd = f.has(flagEndStream)
	s.single = s.remoteEnd
	s.ctx.parent = c.ctx
	c.running++
	c.mu.Unlock()
	x.Request.Remote, x.Request.TLS, x.Request.Secure = c.remote, c.tls, c.tls != nil
	c.server.counts.streams.Inc()
	if head.tooLarge {
		s.tooLarge()
		return nil
	}
	if !c.server.workers.run(s) {
		c.server.counts.busy.Inc()
		s.abort(RefusedStream, "too many requests at once")
		s.finish()
	}
	return nil
}

var errTooMany = &StreamError{Code: RefusedStream, Reason: "too many streams at once"}

func (c *serverConn) refuse(fault error) {
	if fault == errTooMany { //nolint:errorlint // never wrapped
		c.server.counts.full.Inc()
		return
	}
	c.server.counts.malformed.Inc()
}

// bodyLength is what the body must come to. A CONNECT's has no length.
func bodyLength(r *exchange.Request) int64 {
	if r.Upgrade != nil {
		return exchange.Unknown
	}
	return r.Length
}

// tooLarge answers a head that was not read to its end.
func (s *served) tooLarge() {
	s.exchange.Response = exchange.Response{Status: 431}
	_ = s.writeHead(appendResponse(nil, 431, &s.exchange.Response, nil), true)
	s.finish()
}

// serve runs the handler.
func (s *served) serve() {
	s.exchange.Began = time.Now()
	if err := s.handle(); err != nil {
		s.abort(InternalError, "not answered")
	}
	s.finish()
}

func (s *served) handle() (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
			s.conn.server.config.Log.Error("handler of a request panicked", "err", err, "stack", string(debug.Stack()))
		}
	}()
	return s.conn.server.config.Handler.Serve(s.ctx, &s.exchange)
}

// finish ends what is left of the stream and gives it back.
func (s *served) finish() {
	c := s.conn
	c.mu.Lock()
	switch {
	case s.err != nil:
	case !s.localEnd:
		s.reset(&StreamError{Code: InternalError, Reason: "answer without an end"})
	case !s.remoteEnd: // nobody wants the rest of the request
		s.reset(&StreamError{Code: NoError, Reason: "answered"})
	}
	if s.localEnd {
		c.answers++
	}
	// Who reads to a known length is done with it; who waits for the end of the
	// body may be about to ask for its trailers in a goroutine of his own, and
	// finds the stream ended whenever he looks.
	s.single = s.single || s.remoteEnd && s.declared > 0 && s.body.size == 0 && !s.eof
	c.credit(s.body.clear())
	c.kick()
	c.running--
	if c.running == 0 {
		c.room.Broadcast()
	}
	c.mu.Unlock()
	s.recycle()
}

func (s *served) recycle() {
	ctx, unused := s.ctx, s.ctx.end()
	if !s.single {
		return
	}
	s.exchange.Reset()
	s.exchange.Request.TLS, s.exchange.Request.Remote = nil, netip.AddrPort{}
	if unused {
		*ctx = streamContext{}
	} else {
		ctx = new(streamContext)
	}
	block, trailers, arena, chunkList := s.block[:0], s.trailers[:0], s.arena, s.body.chunks[:0]
	x := s.exchange
	*s = served{exchange: x, ctx: ctx, block: block}
	arena.Reset()
	s.served, s.trailers, s.arena, s.body.chunks = s, trailers, arena, chunkList
	s.exchange.Client = s
	servedPool.Put(s)
}

// ReadBody implements exchange.Client.
func (s *served) ReadBody(p []byte) (int, error) {
	if s.expecting {
		s.expecting = false
		if !s.answered {
			_ = s.writeHead(continueBlock, false)
			_ = s.flush()
		}
	}
	n, err := s.read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as readers return it
		err = gone(err)
	}
	return n, err
}

var continueBlock = appendResponse(nil, 100, &exchange.Response{Length: exchange.Unknown}, nil)

// RequestTrailers implements exchange.Client.
func (s *served) RequestTrailers() exchange.Fields { return s.trailers }

// WriteHead implements exchange.Client.
func (s *served) WriteHead(r *exchange.Response) error {
	status := r.Status
	if status == 101 {
		status = 200
		r.Fields.RemoveName(webSocketAccept)
	}
	if status >= 200 && s.conn.alternative != nil {
		r.Advertise(s.conn.alternative())
	}
	s.block = appendResponse(s.block[:0], status, r, s.conn.server.dates.now())
	if err := s.writeHead(s.block, false); err != nil {
		return gone(err)
	}
	if status < 200 || r.Status == 101 {
		return s.Flush()
	}
	s.answered = true
	return nil
}

// WriteBody implements exchange.Client.
func (s *served) WriteBody(p []byte) (int, error) {
	n, err := s.write(p)
	s.exchange.Sent += int64(n)
	if err != nil {
		err = gone(err)
	}
	return n, err
}

// Flush implements exchange.Client.
func (s *served) Flush() error {
	if err := s.flush(); err != nil {
		return gone(err)
	}
	return nil
}

// End implements exchange.Client.
func (s *served) End(trailers exchange.Fields) error {
	var block []byte
	if len(trailers) > 0 {
		s.block = appendFields(s.block[:0], trailers)
		block = s.block
	}
	err := s.end(block)
	s.count()
	if err != nil {
		return gone(err)
	}
	return nil
}

// Abort implements exchange.Client.
func (s *served) Abort() {
	s.abort(InternalError, "aborted")
	s.count()
}

// count tells the exchange how much of the body came. Who reads the body may
// be another goroutine than who writes.
func (s *served) count() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.exchange.Received = s.counted
}

func (s *served) abort(code Code, reason string) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.reset(&StreamError{Code: code, Reason: reason})
	c.kick()
}

// Upgrade implements exchange.Client: the stream's bytes are the protocol's.
func (s *served) Upgrade() (io.ReadWriteCloser, error) { return upgraded{s}, nil }

type upgraded struct{ *served }

// Read implements io.Reader.
func (u upgraded) Read(p []byte) (int, error) { return u.ReadBody(p) }

// Write implements io.Writer.
func (u upgraded) Write(p []byte) (int, error) {
	n, err := u.WriteBody(p)
	if err == nil {
		err = u.Flush()
	}
	return n, err
}

// CloseWrite ends our side.
func (u upgraded) CloseWrite() error { return u.End(nil) }

// Close implements io.Closer. Who waits in Read is woken.
func (u upgraded) Close() error {
	c := u.conn
	err := u.End(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !u.remoteEnd {
		u.reset(&StreamError{Code: NoError, Reason: "closed"})
		c.kick()
	}
	return err
}

// dates are the Date of answers, made once a second.
type dates struct{ current atomic.Pointer[date] }

type date struct {
	second int64
	text   []byte
}

func (d *dates) now() []byte {
	now := time.Now()
	current := d.current.Load()
	if current == nil || current.second != now.Unix() {
		current = &date{now.Unix(), now.UTC().AppendFormat(nil, "Mon, 02 Jan 2006 15:04:05 GMT")}
		d.current.Store(current)
	}
	return current.text
}
