package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

const (
	// spliceFrom is the length from which on the kernel moves a body.
	spliceFrom = 64 << 10
	// splicePiece is moved at once of a request's body.
	splicePiece = 8 << 20
)

// upload sends the body of a request beside the reading of the answer.
type upload struct {
	conn    net.Conn // raw
	x       *exchange.Exchange
	head    []byte
	limit   int64 // most bytes of the body
	writeBy int64

	fault    atomic.Pointer[error] // of the client: the exchange cannot go on
	finished atomic.Bool           // the whole body was sent
	taken    atomic.Bool           // the whole body has come from the client
	done     chan struct{}
}

// startUpload begins to send head and body.
func (f *flight) startUpload() *upload {
	f.try.bodyTouched = true
	f.try.sent = true
	u := &upload{
		conn: f.try.conn.Conn, x: f.x, head: f.out, limit: f.plan.route.Policy.MaxRequest,
		done: make(chan struct{}),
	}
	go u.run()
	return u
}

// uploadFault is why the client's side of the upload has failed.
func (f *flight) uploadFault() error {
	if u := f.try.upload; u != nil {
		if fault := u.fault.Load(); fault != nil {
			return *fault
		}
	}
	return nil
}

func (u *upload) wait() { <-u.done }

func (u *upload) complete() bool { return u.finished.Load() }

// almost is how long an answer waits for an upload that may be over already:
// the upstream has the last byte before we know that it was sent.
const almost = 5 * time.Millisecond

// whole tells whether the whole body has come from the client.
func (u *upload) whole() bool {
	if u.taken.Load() {
		return true
	}
	timer := time.NewTimer(almost)
	defer timer.Stop()
	select {
	case <-u.done:
	case <-timer.C:
	}
	return u.taken.Load()
}

func (u *upload) run() {
	defer close(u.done)
	client, err := u.send()
	switch {
	case client != nil:
		u.fault.Store(&client)
		_ = u.conn.SetReadDeadline(longAgo) // whoever waits for the answer
	case err == nil:
		u.finished.Store(true)
	}
	// Where the upstream takes no more, it may have answered: who reads that
	// finds out.
}

// send sends all; client is the client's fault, err the upstream's. The head
// goes at once: the upstream may answer by it alone.
func (u *upload) send() (client, err error) {
	if err := u.write(u.head); err != nil {
		return nil, err
	}
	buffer := bodies.Get().(*[bodyBytes]byte) //nolint:forcetypeassert // the pool's own
	defer bodies.Put(buffer)
	length, sent := u.x.Request.Length, int64(0)
	for sent != length {
		client, moved, err := u.splice(length, sent)
		if client != nil || err != nil {
			return client, err
		}
		if moved > 0 {
			sent += moved
			continue
		}
		n, done, client := u.read(buffer[chunkRoom:len(buffer)-chunkRoom], length, sent)
		if client != nil {
			return client, nil
		}
		if sent += int64(n); sent > u.limit {
			return tooMuch{u.limit}, nil
		}
		if err := u.write(u.frame(buffer[:], n, length < 0, done)); err != nil || done {
			return nil, err
		}
	}
	return nil, nil
}

// chunkRoom is what a chunk's framing needs at most, before and behind.
const chunkRoom = 24

// read reads some of the body.
func (u *upload) read(p []byte, length, sent int64) (n int, done bool, client error) {
	if length >= 0 && length-sent < int64(len(p)) {
		p = p[:length-sent]
	}
	n, err := u.x.ReadBody(p)
	switch {
	case err == io.EOF && length < 0: //nolint:errorlint // the engine's own
		u.taken.Store(true)
		return n, true, nil
	case err == io.EOF: //nolint:errorlint // the engine's own
		return n, false, exchange.ErrGone
	case err != nil:
		return n, false, err
	}
	done = length >= 0 && sent+int64(n) == length
	if done {
		u.taken.Store(true)
	}
	return n, done, nil
}

// frame puts a coding around n bytes that stand at chunkRoom.
func (u *upload) frame(room []byte, n int, chunked, done bool) []byte {
	start, end := chunkRoom, chunkRoom+n
	if !chunked {
		return room[start:end]
	}
	out := room[start:start]
	if n > 0 {
		var size [chunkRoom]byte
		prefix := h1.AppendChunk(size[:0], n)
		start -= len(prefix)
		copy(room[start:], prefix)
		out = append(room[start:end], h1.ChunkEnd...)
	}
	if done {
		out = h1.AppendLastChunk(out, u.x.Client.RequestTrailers())
	}
	return out
}

func (u *upload) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	now := time.Now().UnixNano()
	if u.writeBy < now+int64(stallLimit) {
		u.writeBy = now + 2*int64(stallLimit)
		_ = u.conn.SetWriteDeadline(time.Unix(0, u.writeBy))
	}
	_, err := u.conn.Write(p)
	return err
}

// splice has a piece of a long body moved by the kernel, where that can be.
func (u *upload) splice(length, sent int64) (client error, moved int64, err error) {
	if length-sent < spliceFrom || length > u.limit || len(u.x.Held) > 0 || u.x.HeldAll {
		return nil, 0, nil
	}
	target, plain := u.conn.(*net.TCPConn)
	splicer, able := u.x.Client.(exchange.Splicer)
	if !plain || !able {
		return nil, 0, nil
	}
	_ = u.conn.SetWriteDeadline(time.Time{})
	moved, err = splicer.SpliceTo(target, min(length-sent, splicePiece))
	u.writeBy = 0
	switch {
	case err == nil:
		u.taken.Store(sent+moved == length)
		return nil, moved, nil
	case errors.Is(err, errors.ErrUnsupported):
		return nil, 0, nil
	case errors.Is(err, exchange.ErrGone), errors.Is(err, exchange.ErrTooSlow), errors.Is(err, exchange.ErrMalformed):
		return err, moved, nil
	default:
		return nil, moved, err
	}
}

// bodyBytes is how much of a body is moved at once where the kernel does not.
const bodyBytes = 64 << 10

var bodies = sync.Pool{New: func() any { return new([bodyBytes]byte) }}
