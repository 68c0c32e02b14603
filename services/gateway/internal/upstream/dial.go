package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
)

// Conn returns a kept or a new HTTP/1.1 connection. Where the cluster has as
// many as it may, it waits in turn until ctx ends. Errors: ErrFull where too
// many wait already; *DialError where the endpoint could not be reached, so
// that nothing was sent; ctx's own. The connection is to be given back by Keep
// or Close.
func (e *Endpoint) Conn(ctx context.Context) (*Conn, error) {
	if c := e.Kept(); c != nil {
		return c, nil
	}
	q := &e.group.queue
	if q.pending.Load() == 0 && q.take() {
		return e.dial(ctx, false, "http/1.1")
	}
	granted, err := q.wait(ctx, e)
	if err != nil {
		return nil, err
	}
	if granted.conn != nil {
		return granted.conn.lend(), nil
	}
	return e.dial(ctx, false, "http/1.1")
}

// Kept is Conn as far as it goes without waiting: nil where there is no kept
// connection, or others wait for one.
func (e *Endpoint) Kept() *Conn {
	q := &e.group.queue
	if q.pending.Load() != 0 {
		return nil
	}
	c, dropped := e.idle.take(e.group.set.config.Clock())
	if dropped && q.pending.Load() > 0 {
		q.match()
	}
	if c == nil {
		return nil
	}
	return c.lend()
}

// Dial makes a connection for a pool of the caller's own, such as HTTP/2's,
// over TLS where the endpoint has it, with these protocols in ALPN. It counts
// in the cluster's bounds, waits and fails as Conn does. It has no Buf, and its
// Keep is Close; CountUse counts the requests over it.
func (e *Endpoint) Dial(ctx context.Context, protocols ...string) (*Conn, error) {
	q := &e.group.queue
	if q.pending.Load() == 0 && q.take() {
		return e.dial(ctx, true, protocols...)
	}
	granted, err := q.wait(ctx, e)
	if err != nil {
		return nil, err
	}
	if granted.conn != nil { // of HTTP/1.1: its place is what is wanted
		granted.conn.abandon()
	}
	return e.dial(ctx, true, protocols...)
}

// dial makes a connection in a place that was taken.
func (e *Endpoint) dial(ctx context.Context, once bool, protocols ...string) (*Conn, error) {
	g := e.group
	credentials := e.credentials.Load()
	conn, raw, err := e.connect(ctx, credentials, protocols)
	g.dials[index(err == nil)].Add(1)
	if err != nil {
		g.queue.give()
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, context.Cause(ctx)
		}
		return nil, &DialError{Address: e.key.address, Err: err}
	}
	c := &Conn{Conn: conn, endpoint: e, credentials: credentials, once: once}
	c.alive.watch(raw)
	if once {
		return c, nil
	}
	return c.lend(), nil
}

// connect makes a connection with its handshake. raw is what is below TLS.
func (e *Endpoint) connect(ctx context.Context, with *credentials, protocols []string) (conn, raw net.Conn, err error) {
	settings := &e.group.newest.Load().settings
	making, cancel := context.WithTimeout(ctx, settings.ConnectTimeout)
	raw, err = e.group.set.config.Dial(making, e.network, e.target)
	cancel()
	if err != nil {
		return nil, nil, err
	}
	if !e.key.secure {
		return raw, raw, nil
	}
	shaking, cancel := context.WithTimeout(ctx, settings.Pool.TLSHandshake)
	defer cancel()
	secured := tls.Client(raw, with.clientConfig(e.key.address, protocols))
	if err := secured.HandshakeContext(shaking); err != nil {
		raw.Close()
		if shaking.Err() != nil {
			err = errors.Join(err, os.ErrDeadlineExceeded)
		}
		return nil, nil, err
	}
	return secured, raw, nil
}
