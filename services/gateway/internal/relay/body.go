package relay

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// relayAnswer relays the answer whose head is in x.Response.
func (f *flight) relayAnswer() error {
	t, x := &f.try, f.x
	if x.Response.Status == http.StatusSwitchingProtocols {
		return f.upgrade()
	}
	f.cutShort()
	f.relay.Answered(x, &f.plan)
	err := f.relayBody()
	t.finish(upstream.Answered, x.Response.Status)
	if err != nil {
		x.Client.Abort()
		t.close()
		return err
	}
	t.keep(true)
	return nil
}

// sink is where the body of an answer goes: to the client, or to a coder
// before it.
type sink struct {
	client  exchange.Client
	encoder filter.Encoder // nil on the plain path
}

func (s *sink) write(p []byte) error {
	var err error
	if s.encoder != nil {
		_, err = s.encoder.Write(p)
	} else {
		_, err = s.client.WriteBody(p)
	}
	return err
}

func (s *sink) flush() error {
	if s.encoder != nil {
		return s.encoder.Flush()
	}
	return s.client.Flush()
}

func (s *sink) end(trailers exchange.Fields) error {
	if s.encoder != nil {
		encoder := s.encoder
		s.encoder = nil
		if err := encoder.Close(); err != nil {
			return err
		}
	}
	return s.client.End(trailers)
}

// relayBody sends head and body.
func (f *flight) relayBody() (err error) {
	t, x := &f.try, f.x
	length := x.Response.Length
	to := sink{client: x.Client, encoder: f.relay.Encoder(x, &f.plan)}
	defer func() {
		if to.encoder != nil {
			to.encoder.Discard()
		}
	}()
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	switch {
	case x.Response.NoBody:
		return to.end(nil)
	case t.framing.Chunked:
		return f.relayChunks(&to)
	case t.framing.UntilClose:
		return f.relayUntilClose(&to)
	default:
		return f.relayLength(&to, length)
	}
}

// relayLength relays a body of known length.
func (f *flight) relayLength(to *sink, left int64) error {
	t := &f.try
	if have := min(int64(t.w-t.r), left); have > 0 {
		if err := to.write(t.conn.Buf[t.r : t.r+int(have)]); err != nil {
			return err
		}
		t.r += int(have)
		left -= have
	}
	if left == 0 {
		return to.end(nil)
	}
	if left >= spliceFrom && to.encoder == nil {
		moved, err := f.splice(left)
		if err != nil {
			return err
		}
		left -= moved
	}
	buffer := bodies.Get().(*[bodyBytes]byte) //nolint:forcetypeassert // the pool's own
	defer bodies.Put(buffer)
	for left > 0 {
		n, err := f.more(to, buffer[:min(left, bodyBytes)])
		if err != nil {
			return broke(err)
		}
		if err := to.write(buffer[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return to.end(nil)
}

// errCut is an answer that ended before its body did.
var errCut = errors.New("the service broke off its answer")

// more waits for more of the answer's body; what came before is sent first.
func (f *flight) more(to *sink, p []byte) (int, error) {
	if err := to.flush(); err != nil {
		return 0, err
	}
	n, err := f.read(p, f.bodyBy())
	if n > 0 || err == nil {
		return n, nil
	}
	if fault := f.uploadFault(); fault != nil {
		return 0, fault
	}
	if f.ctx.Err() != nil {
		return 0, exchange.ErrGone
	}
	if err == io.EOF { //nolint:errorlint // net.Conn's own
		return 0, io.EOF
	}
	return 0, fmt.Errorf("%w: %w", errCut, err)
}

// bodyBy is when the next byte of a body must have come.
func (f *flight) bodyBy() int64 {
	return min(f.deadline, time.Now().Add(f.plan.route.idle).UnixNano())
}

// splice has the kernel move a body as far as it can.
func (f *flight) splice(n int64) (moved int64, err error) {
	source := f.try.tcp()
	splicer, able := f.x.Client.(exchange.Splicer)
	if source == nil || !able {
		return 0, nil
	}
	f.watch()
	for moved < n {
		f.readBy(f.bodyBy())
		some, err := splicer.SpliceFrom(source, n-moved)
		moved += some
		switch {
		case err == nil:
		case errors.Is(err, errors.ErrUnsupported):
			return moved, nil
		case f.ctx.Err() != nil:
			return moved, exchange.ErrGone
		case isDeadline(err) && some > 0 && time.Now().UnixNano() < f.deadline:
			// There was something meanwhile: wait anew.
		default:
			return moved, err
		}
	}
	return moved, nil
}

// relayChunks relays a chunked body, and its trailers.
func (f *flight) relayChunks(to *sink) error {
	t := &f.try
	decoder := decoders.Get().(*chunks) //nolint:forcetypeassert // the pool's own
	defer decoders.Put(decoder)
	decoder.Reset()
	buf, r, w := t.conn.Buf, t.r, t.w
	for {
		data, used, done, err := decoder.Next(buf[r:w])
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		r += used
		if len(data) > 0 {
			if err := to.write(data); err != nil {
				return err
			}
		}
		if done {
			t.r, t.w = r, w
			return to.end(decoder.Trailers())
		}
		if len(data) > 0 {
			continue
		}
		w = copy(buf, buf[r:w])
		r = 0
		n, err := f.more(to, buf[w:])
		if err != nil {
			return broke(err)
		}
		w += n
	}
}

// broke turns an end that came too early into an error.
func broke(err error) error {
	if err == io.EOF { //nolint:errorlint // more's own
		return errCut
	}
	return err
}

// relayUntilClose relays a body that ends with the connection.
func (f *flight) relayUntilClose(to *sink) error {
	t := &f.try
	if t.r < t.w {
		if err := to.write(t.conn.Buf[t.r:t.w]); err != nil {
			return err
		}
		t.r = t.w
	}
	for {
		n, err := f.more(to, t.conn.Buf)
		switch {
		case err == io.EOF: //nolint:errorlint // more's own
			return to.end(nil)
		case err != nil:
			return err
		}
		if err := to.write(t.conn.Buf[:n]); err != nil {
			return err
		}
	}
}

// isDeadline tells a deadline that has passed.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// chunks is a decoder that is used again.
type chunks struct{ h1.Chunked }

var decoders = sync.Pool{New: func() any { return &chunks{h1.Chunked{Limits: answerLimits}} }}
