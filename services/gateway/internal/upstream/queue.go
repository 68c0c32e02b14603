package upstream

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// lookAhead is how many of those who wait are looked at for one whose
	// endpoint has a kept connection, and how often the first may be passed
	// over so: strict order would close good connections to make others.
	lookAhead = 16
)

// queue bounds the connections of a cluster, and lines up who waits for one.
type queue struct {
	group   *group
	open    atomic.Int64 // connections: in use, kept, being made, reserved
	pending atomic.Int64 // waiters

	mu      sync.Mutex
	waiters []*waiter // first come, first served, but for lookAhead
	passed  int       // how often the first was passed over
}

// waiter waits for a connection.
type waiter struct {
	endpoint *Endpoint
	ready    chan grant // has room for one
}

// grant is a kept connection, or the right to make one where conn is nil.
type grant struct{ conn *Conn }

func (q *queue) most() int64 { return int64(q.group.newest.Load().settings.MaxConnections) }

// take takes a place for a connection if there is one.
func (q *queue) take() bool {
	for most := q.most(); ; {
		n := q.open.Load()
		if n >= most {
			return false
		}
		if q.open.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// give gives a place back.
func (q *queue) give() {
	q.open.Add(-1)
	if q.pending.Load() > 0 {
		q.match()
	}
}

// wait lines up for a connection to an endpoint.
func (q *queue) wait(ctx context.Context, e *Endpoint) (grant, error) {
	w := &waiter{endpoint: e, ready: make(chan grant, 1)}
	if !q.enter(w) {
		q.group.refused[boundPending].Add(1)
		return grant{}, full(boundPending, q.group.took())
	}
	q.match()
	select {
	case g := <-w.ready:
		return g, nil
	case <-ctx.Done():
	}
	if q.leave(w) {
		return grant{}, context.Cause(ctx)
	}
	if g := <-w.ready; g.conn != nil { // it came meanwhile
		g.conn.shelve()
	} else {
		q.give()
	}
	return grant{}, context.Cause(ctx)
}

func (q *queue) enter(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiters) >= q.group.newest.Load().settings.MaxPending {
		return false
	}
	q.waiters = append(q.waiters, w)
	q.pending.Add(1)
	return true
}

// leave takes a waiter out, if it was given nothing.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiters, w)
	if at < 0 {
		return false
	}
	q.remove(at)
	return true
}

// remove is with the mu held.
func (q *queue) remove(at int) *waiter {
	w := q.waiters[at]
	q.waiters = slices.Delete(q.waiters, at, at+1)
	q.pending.Add(-1)
	if at == 0 {
		q.passed = 0
	} else {
		q.passed++
	}
	return w
}

// match gives those who wait what there is.
func (q *queue) match() {
	for q.pending.Load() > 0 && q.matchOne() {
	}
}

// matchOne serves one waiter: a kept connection to its endpoint, else a place
// for a new one, else the place of one that is kept to another endpoint.
func (q *queue) matchOne() bool {
	now := q.group.set.config.Clock()
	q.mu.Lock()
	if len(q.waiters) == 0 {
		q.mu.Unlock()
		return false
	}
	ahead := lookAhead
	if q.passed >= lookAhead {
		ahead = 1
	}
	for at := range min(ahead, len(q.waiters)) {
		if c, _ := q.waiters[at].endpoint.idle.take(now); c != nil {
			w := q.remove(at)
			q.mu.Unlock()
			w.ready <- grant{c}
			return true
		}
	}
	var victim *Conn
	if !q.take() {
		if victim = q.victim(); victim == nil {
			q.mu.Unlock()
			return false
		}
	}
	w := q.remove(0)
	q.mu.Unlock()
	if victim != nil {
		victim.abandon()
	}
	w.ready <- grant{}
	return true
}

// victim is a kept connection whose place another is to have.
func (q *queue) victim() *Conn {
	for _, m := range q.group.newest.Load().members {
		if c := m.idle.oldest(); c != nil {
			return c
		}
	}
	return nil
}
