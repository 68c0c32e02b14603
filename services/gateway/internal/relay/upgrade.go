package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// upgrade hands the connection over to another protocol and carries its bytes
// both ways until both sides have ended, or nothing moves for the route's idle
// time.
func (f *flight) upgrade() error {
	t, x := &f.try, f.x
	f.relay.Answered(x, &f.plan)
	t.finish(upstream.Answered, x.Response.Status)
	defer t.close()
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	client, err := x.Client.Upgrade()
	if err != nil {
		x.Client.Abort()
		return err
	}
	defer func() { _ = client.Close() }()
	first := t.conn.Buf[t.r:t.w]
	if _, err := client.Write(first); err != nil {
		return exchange.ErrGone
	}
	x.Sent += int64(len(first))
	t.r = t.w
	tunnel := newTunnel(client, t.conn.Conn, f.plan.route.idle)
	f.relay.metrics.tunnels.Inc()
	defer f.relay.metrics.tunnels.Dec()
	sent, received := tunnel.run(f.ctx.Done())
	x.Sent += sent
	x.Received += received
	return nil
}

// tunnel carries bytes between two connections.
type tunnel struct {
	client, upstream io.ReadWriteCloser
	idle             time.Duration
	moved            atomic.Int64 // Unix nanoseconds: the last byte
	once             sync.Once
}

func newTunnel(client, upstream io.ReadWriteCloser, idle time.Duration) *tunnel {
	t := &tunnel{client: client, upstream: upstream, idle: idle}
	for _, side := range []io.ReadWriteCloser{client, upstream} {
		if conn, able := side.(net.Conn); able {
			_ = conn.SetDeadline(time.Time{})
		}
	}
	return t
}

// run returns once both directions have ended, with the bytes moved.
func (t *tunnel) run(cut <-chan struct{}) (sent, received int64) {
	t.moved.Store(time.Now().UnixNano())
	over := make(chan struct{})
	var guard sync.WaitGroup
	guard.Go(func() { t.guard(cut, over) })
	var up sync.WaitGroup
	up.Go(func() { received = t.carry(t.upstream, t.client) })
	sent = t.carry(t.client, t.upstream)
	up.Wait()
	close(over)
	guard.Wait()
	return sent, received
}

// guard closes both sides when the server is cut off, or nothing moves.
func (t *tunnel) guard(cut, over <-chan struct{}) {
	for {
		wait := time.Until(time.Unix(0, t.moved.Load()).Add(t.idle))
		if wait <= 0 {
			t.close()
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-cut:
			timer.Stop()
			t.close()
			return
		case <-over:
			timer.Stop()
			return
		}
	}
}

func (t *tunnel) close() {
	t.once.Do(func() {
		_ = t.client.Close()
		_ = t.upstream.Close()
	})
}

// tunnelBytes is read at once; messages are small.
const tunnelBytes = 16 << 10

var tunnels = sync.Pool{New: func() any { return new([tunnelBytes]byte) }}

// carry moves bytes one way until that ends, and passes the end on.
func (t *tunnel) carry(to io.Writer, from io.Reader) (n int64) {
	buffer := tunnels.Get().(*[tunnelBytes]byte) //nolint:forcetypeassert // the pool's own
	defer tunnels.Put(buffer)
	for {
		got, err := from.Read(buffer[:])
		if got > 0 {
			t.moved.Store(time.Now().UnixNano())
			wrote, err := to.Write(buffer[:got])
			n += int64(wrote)
			if err != nil {
				t.close()
				return n
			}
		}
		if err == nil {
			continue
		}
		half, able := to.(interface{ CloseWrite() error })
		if !errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) || !able || half.CloseWrite() != nil {
			t.close()
		}
		return n
	}
}
