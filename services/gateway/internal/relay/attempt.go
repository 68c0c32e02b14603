package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

var (
	// errBroken is a connection that ended, or an answer that is not HTTP,
	// before the answer's head.
	errBroken = errors.New("the service broke the connection")
	// errTryTimeout is the end of one try's time.
	errTryTimeout = fmt.Errorf("%w to one try", errTimeout)
)

const (
	// lookAfter is how long an upstream is waited for before anybody asks
	// whether the client is still there.
	lookAfter = 500 * time.Millisecond
	// stallLimit is how long an upstream may take no byte.
	stallLimit = 30 * time.Second
	// maxInterim bounds the 1xx answers before one.
	maxInterim = 16
)

// attempt is one try at an endpoint over HTTP/1.1.
type attempt struct {
	endpoint *upstream.Endpoint
	conn     *upstream.Conn
	began    time.Time
	took     time.Duration // until the answer's head
	upload   *upload       // nil: the whole request went at once
	framing  h1.Framing
	r, w     int // conn.Buf[r:w] is unread
	unwatch  func() bool

	sent        bool // something has reached the connection
	bodyTouched bool // of a body that is not held, something was read
	stale       bool // a kept connection was closed before anything came
	budget      bool // counts as a retry
	finished    bool
}

// send sends the request to an endpoint and reads the head of its answer.
func (f *flight) send(e *upstream.Endpoint) error {
	t := &f.try
	*t = attempt{endpoint: e, began: f.x.Began, budget: f.budget}
	f.budget = false
	if f.x.Attempts > 1 {
		t.began = time.Now()
	}
	e.Begin()
	if t.conn = e.Kept(); t.conn == nil {
		ctx, cancel := f.until(f.deadline)
		conn, err := e.Conn(ctx)
		cancel()
		if err != nil {
			return f.unreached(err)
		}
		t.conn = conn
	}
	if err := f.write(); err != nil {
		return f.broken(err)
	}
	return f.readHead()
}

// unreached is the end of a try that got no connection.
func (f *flight) unreached(err error) error {
	var dial *upstream.DialError
	switch {
	case f.ctx.Err() != nil:
		f.try.finish(upstream.Aborted, 0)
		return exchange.ErrGone
	case errors.As(err, &dial):
		f.try.finish(upstream.Unreached, 0)
	case errors.Is(err, context.DeadlineExceeded):
		f.try.finish(upstream.Refused, 0)
		return errTimeout
	default:
		f.try.finish(upstream.Refused, 0)
	}
	return err
}

// write sends the head with as much of the body as is held.
func (f *flight) write() error {
	t, x := &f.try, f.x
	f.out = h1.AppendRequest(f.out[:0], &x.Request, h1.RequestOptions{Host: noHost})
	if !f.whole {
		t.upload = f.startUpload()
		return nil
	}
	t.writeBy()
	if len(f.held) <= smallBody {
		f.out = append(f.out, f.held...)
		return f.writeThenRead(f.out)
	}
	n, err := t.conn.Socket.Write(f.out)
	t.sent = n > 0
	if err != nil {
		return err
	}
	return f.writeThenRead(f.held)
}

// writeThenRead sends the last of the request and reads the first that comes
// back.
func (f *flight) writeThenRead(p []byte) error {
	t := &f.try
	if f.eager {
		f.watch()
	}
	by, _ := f.headBy()
	first := f.firstLook(by)
	f.arm(first)
	for {
		n, wrote, err := t.conn.Socket.WriteThenRead(p, t.conn.Buf)
		t.w = n
		t.sent = t.sent || wrote > 0
		switch {
		case wrote == 0 && isDeadline(err): // one of before, or there was a long wait for the connection
			if f.ctx.Err() != nil {
				return err
			}
			if now := time.Now().UnixNano(); now >= by {
				return nil // readHead ends the try
			} else if now < first {
				f.readBy(first)
			} else {
				f.watch()
				f.readBy(by)
			}
		case isDeadline(err):
			return nil // readHead goes on waiting
		case err == nil && wrote < len(p):
			_, err = t.conn.Socket.Write(p[wrote:])
			return err
		default:
			return err
		}
	}
}

// noHost stands for a request of HTTP/1.0 that names none.
var noHost = []byte("localhost")

// writeBy keeps a deadline of writing in force between one and two limits
// ahead, so that few tries have to set one.
func (t *attempt) writeBy() {
	if now := t.began.UnixNano(); t.conn.WriteBy < now+int64(stallLimit) {
		t.conn.WriteBy = now + 2*int64(stallLimit)
		_ = t.conn.Conn.SetWriteDeadline(time.Unix(0, t.conn.WriteBy))
	}
}

// headBy is when the head of the answer must have come.
func (f *flight) headBy() (by int64, timeout error) {
	by, timeout = f.deadline, errTimeout
	if limit := f.plan.route.Policy.TryTimeout; limit > 0 {
		if end := f.try.began.Add(limit).UnixNano(); end < by {
			by, timeout = end, errTryTimeout
		}
	}
	return by, timeout
}

// readHead reads up to the head of the final answer, into x.Response.
func (f *flight) readHead() error {
	t, x := &f.try, f.x
	by, timeout := f.headBy()
	for interim := 0; interim < maxInterim; {
		n, framing, err := h1.ParseResponse(t.conn.Buf[t.r:t.w], &x.Response, x.Request.Method, answerLimits)
		switch {
		case err != nil:
			return f.broken(fmt.Errorf("answer: %w", err))
		case n > 0 && x.Response.Status >= 200 || n > 0 && x.Response.Status == 101:
			t.r += n
			t.framing = framing
			t.took = time.Since(t.began)
			return nil
		case n > 0:
			t.r += n
			interim++
			if err := f.passInterim(); err != nil {
				return err
			}
			continue
		case t.w == len(t.conn.Buf):
			return f.broken(h1.ErrHeadLong)
		}
		n, err = f.read(t.conn.Buf[t.w:], by)
		t.w += n
		if n == 0 && err != nil {
			return f.unanswered(err, timeout)
		}
	}
	return f.broken(errors.New("too many interim answers"))
}

// answerLimits are bound by the buffer as well.
var answerLimits = h1.Limits{Head: 16 << 10, Fields: 200}

// passInterim hands 1xx on, but for 100: the engine sends that by itself.
func (f *flight) passInterim() error {
	if f.x.Response.Status == 100 {
		return nil
	}
	if err := f.x.Client.WriteHead(&f.x.Response); err != nil {
		f.try.finish(upstream.Aborted, 0)
		f.try.close()
		return exchange.ErrGone
	}
	return nil
}

// unanswered is a read that failed before the head was whole.
func (f *flight) unanswered(err, timeout error) error {
	t := &f.try
	if fault := f.uploadFault(); fault != nil {
		t.finish(upstream.Aborted, 0)
		t.close()
		return fault
	}
	switch {
	case f.ctx.Err() != nil:
		t.finish(upstream.Aborted, 0)
		t.close()
		return exchange.ErrGone
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.finish(upstream.TimedOut, 0)
		t.close()
		return timeout
	default:
		return f.broken(err)
	}
}

// broken is the end of a try whose connection failed.
func (f *flight) broken(err error) error {
	t := &f.try
	fault := f.uploadFault()
	// A kept connection that the other side has closed meanwhile says nothing
	// about the endpoint.
	t.stale = t.conn.Reused && t.w == 0 && fault == nil && !errors.Is(err, os.ErrDeadlineExceeded)
	if t.stale || fault != nil {
		t.finish(upstream.Aborted, 0)
	} else {
		t.finish(upstream.Broken, 0)
	}
	t.close()
	if fault != nil {
		return fault
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// read reads from the upstream, until a time at the latest, or the client is
// gone. The deadline in force is kept where it is earlier than needed.
func (f *flight) read(p []byte, by int64) (int, error) {
	t := &f.try
	first := f.firstLook(by)
	if t.unwatch == nil {
		f.arm(first)
	}
	for {
		n, err := t.conn.Socket.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || f.ctx.Err() != nil {
			return n, err
		}
		now := time.Now().UnixNano()
		switch {
		case f.uploadFault() != nil, now >= by:
			return 0, err
		case now < first:
			f.readBy(first)
		default:
			f.watch()
			f.readBy(by)
		}
	}
}

// firstLook is when a read that waits is first looked after.
func (f *flight) firstLook(by int64) int64 {
	return min(by, f.try.began.UnixNano()+int64(lookAfter))
}

// arm puts a deadline of reading in force, where there is none that is earlier.
func (f *flight) arm(by int64) {
	if c := f.try.conn; c.ReadBy == 0 || c.ReadBy > by {
		f.readBy(by)
	}
}

// readBy puts a deadline of reading in force.
func (f *flight) readBy(by int64) {
	t := &f.try
	t.conn.ReadBy = by
	_ = t.conn.Conn.SetReadDeadline(time.Unix(0, by))
	if f.ctx.Err() != nil || f.uploadFault() != nil { // it may have been set for good before
		_ = t.conn.Conn.SetReadDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

// watch makes the end of the client end the reads that wait.
func (f *flight) watch() {
	t := &f.try
	if t.unwatch == nil {
		conn := t.conn.Conn
		t.unwatch = context.AfterFunc(f.ctx, func() { _ = conn.SetReadDeadline(longAgo) })
	}
}

// finish tells the endpoint what became of the try. Only the first time counts.
func (t *attempt) finish(result upstream.Result, status int) {
	if t.finished || t.endpoint == nil {
		return
	}
	t.finished = true
	if t.took == 0 { // there is no answer: the try ends now
		t.took = time.Since(t.began)
	}
	t.endpoint.Done(upstream.Outcome{Result: result, Status: status, Took: t.took}, t.began.Add(t.took))
}

// close ends the connection. The upload, if there is one, fails by that.
func (t *attempt) close() {
	if t.unwatch != nil {
		t.unwatch()
		t.unwatch = nil
	}
	if t.conn != nil {
		_ = t.conn.Close()
	}
	t.conn = nil
}

// keep gives the connection back to its pool, or closes it.
func (t *attempt) keep(good bool) {
	stopped := t.unwatch == nil || t.unwatch()
	t.unwatch = nil
	if t.upload != nil && !t.upload.complete() {
		good = false
	}
	if !good || !stopped || !t.framing.KeepAlive || t.r != t.w {
		t.close()
		return
	}
	if t.upload != nil {
		t.upload.wait()
	}
	t.conn.Keep()
	t.conn = nil
}

// drop ends a try that is to be followed by another. err is why; nil: its
// answer is one that is tried again.
func (f *flight) drop(err error) {
	t := &f.try
	if err == nil {
		t.finish(upstream.Answered, f.x.Response.Status)
	}
	if t.conn != nil {
		t.close()
	}
	f.endRetry()
}

// endRetry gives the budget back that the try has taken.
func (f *flight) endRetry() {
	if f.try.budget {
		f.try.budget = false
		f.plan.part.cluster.EndRetry()
	}
}

// tcp is the connection, where it is plain TCP.
func (t *attempt) tcp() *net.TCPConn {
	tcp, _ := t.conn.Conn.(*net.TCPConn)
	return tcp
}
