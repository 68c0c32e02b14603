package upstream

import (
	"context"
	"net"
	"time"
)

// Endpoint is one upstream of a cluster.
type Endpoint struct{ address string }

// Address is as configured: `host:port` or `unix:/path`.
func (e *Endpoint) Address() string { return e.address }

// Secure tells whether connections to it are TLS.
func (e *Endpoint) Secure() bool { return false }

// Begin counts a try as being on its way.
func (e *Endpoint) Begin() {}

// Done ends what Begin began, with what became of it. Outliers and the breaker
// of errors are judged by it.
func (e *Endpoint) Done(o Outcome, now time.Time) {}

// Conn returns a kept or a new HTTP/1.1 connection. Where the cluster has as
// many as it may, it waits in turn until ctx ends. Errors: ErrFull where too
// many wait already; *DialError where the endpoint could not be reached, so
// that nothing was sent; ctx's own. The connection is to be given back by Keep
// or Close.
func (e *Endpoint) Conn(ctx context.Context) (*Conn, error) { return nil, ErrFull }

// Dial makes a connection for a pool of the caller's own, such as HTTP/2's,
// over TLS where the endpoint has it with these protocols in ALPN. It counts
// in the cluster's bounds, waits and fails as Conn does. Its Keep is Close.
func (e *Endpoint) Dial(ctx context.Context, protocols ...string) (*Conn, error) {
	return nil, ErrFull
}

// Retired is closed when no View has the endpoint any more: connections in
// pools of the caller's own are then to be closed as they become idle.
func (e *Endpoint) Retired() <-chan struct{} { return nil }

// TCP is where an event loop dials by itself: plain endpoints only, for which
// ok is true. The address is resolved by the caller.
func (e *Endpoint) TCP() (network, address string, ok bool) { return "", "", false }

// Reserve takes one of the cluster's connections for an event loop that dials
// by itself; it never waits. false: there is none free, and the exchange may
// wait in Conn instead. What it took is given back by Unreserve when the
// connection is closed or was not made.
func (e *Endpoint) Reserve() bool { return false }

// Unreserve gives back what Reserve took.
func (e *Endpoint) Unreserve() {}

// CountUse counts a request over a connection of an event loop's own, for the
// share of reused ones.
func (e *Endpoint) CountUse(reused bool) {}

// Wanted tells that an event loop should close a connection that becomes idle
// rather than keep it: others wait for one, or the endpoint is retired.
func (e *Endpoint) Wanted() bool { return false }

// Conn is a connection to an endpoint. It belongs to one request at a time.
type Conn struct {
	net.Conn
	// Reused tells that requests went over it before, so that it may have been
	// closed by the other side meanwhile.
	Reused bool
	// Buf is 16 KiB to read into, good until Keep or Close.
	Buf []byte
}

// Endpoint is the one that it leads to.
func (c *Conn) Endpoint() *Endpoint { return nil }

// Keep gives the connection back for the next request: the answer was read to
// its end, nothing is left in Buf and both sides let it live. Where it cannot
// be kept it is closed.
func (c *Conn) Keep() {}

// Close closes the connection for good. After Keep or Close it must not be
// touched; a second Close does nothing.
func (c *Conn) Close() error { return nil }
