package upstream

import (
	"strings"
	"sync/atomic"
	"time"
)

// Endpoint is one upstream of a cluster.
type Endpoint struct {
	group           *group
	key             endpointKey
	network, target string // to dial
	views           int    // that have it; guarded by the set's mu
	retired         chan struct{}

	active      atomic.Int64 // tries on their way
	consecutive atomic.Int64 // failures in a row
	window      atomic.Int64 // tries that ended since success rates were compared
	failures    atomic.Int64 // of those
	credentials atomic.Pointer[credentials]
	draining    atomic.Bool
	gone        atomic.Bool // no view has it
	ailing      atomic.Bool // its health check says so, or has not said otherwise yet
	ejected     atomic.Bool
	idle        idle
	ejection    ejection // guarded by the group's mu
	health      health
}

// newEndpoint makes one; unproved says that it is not to be used before its
// health check was passed, as long as there are others.
func newEndpoint(g *group, key endpointKey, unproved bool) *Endpoint {
	e := &Endpoint{group: g, key: key, retired: make(chan struct{}), network: "tcp", target: key.address}
	if path, found := strings.CutPrefix(key.address, "unix:"); found {
		e.network, e.target = "unix", path
	}
	e.idle.endpoint = e
	e.ailing.Store(unproved)
	return e
}

// Address is as configured: `host:port` or `unix:/path`.
func (e *Endpoint) Address() string { return e.key.address }

// Secure tells whether connections to it are TLS.
func (e *Endpoint) Secure() bool { return e.key.secure }

// Retired is closed when no View has the endpoint any more: connections in
// pools of the caller's own are then to be closed as they become idle.
func (e *Endpoint) Retired() <-chan struct{} { return e.retired }

// retire is called when no view has it any more.
func (e *Endpoint) retire() {
	e.gone.Store(true)
	close(e.retired)
	e.idle.close()
	e.uncheck()
}

// usable tells whether it is to get requests while others are usable too.
func (e *Endpoint) usable() bool { return !e.ailing.Load() && !e.ejected.Load() }

// Begin counts a try as being on its way.
func (e *Endpoint) Begin() { e.active.Add(1) }

// Done ends what Begin began, with what became of it. Outliers and the breaker
// of errors are judged by it.
func (e *Endpoint) Done(o Outcome, now time.Time) {
	g := e.group
	e.active.Add(-1)
	g.tries[o.Result].Add(1)
	c := g.newest.Load()
	if c.breaker != nil {
		c.breaker.record(o, now)
	}
	if o.Result == Aborted || o.Result == Refused {
		return
	}
	if o.Result == Answered {
		g.answered(o.Took)
	}
	if c.settings.Outlier != nil {
		e.judge(o.failed(), c, now)
	}
}

// TCP is where an event loop dials by itself: plain endpoints only, for which
// ok is true. The address is as configured; the caller resolves it.
func (e *Endpoint) TCP() (network, address string, ok bool) {
	return e.network, e.target, !e.key.secure
}

// Reserve takes one of the cluster's connections for an event loop that dials
// by itself; it never waits. false: there is none free, and the exchange may
// wait in Conn instead. What it took is given back by Unreserve when the
// connection is closed or was not made.
func (e *Endpoint) Reserve() bool {
	q := &e.group.queue
	return q.pending.Load() == 0 && q.take()
}

// Unreserve gives back what Reserve took.
func (e *Endpoint) Unreserve() { e.group.queue.give() }

// CountDial counts a connection that an event loop made, or could not make.
func (e *Endpoint) CountDial(made bool) { e.group.dials[index(made)].Add(1) }

// CountUse counts a request over a connection of an event loop's own, for the
// share of reused ones.
func (e *Endpoint) CountUse(reused bool) { e.group.uses[index(reused)].Add(1) }

// Wanted tells that an event loop should close a connection that becomes idle
// rather than keep it: others wait for one, or the endpoint is to get nothing
// new.
func (e *Endpoint) Wanted() bool {
	return e.gone.Load() || e.draining.Load() || e.group.queue.pending.Load() > 0
}

func index(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
