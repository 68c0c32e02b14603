package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// group is what of a cluster outlives configurations: counts, endpoints and
// what is known of them. Clusters of one name share it.
type group struct {
	set  *Set
	name string

	requests atomic.Int64 // in flight
	retries  atomic.Int64 // in flight
	tookNS   atomic.Int64 // to the answer's head, smoothed
	turn     atomic.Uint64
	version  atomic.Uint64 // rises when an endpoint may have become usable or not
	queue    queue
	newest   atomic.Pointer[Cluster] // by which connections are bounded and endpoints judged

	// Guarded by the set's mu.
	views     int
	endpoints map[endpointKey]*Endpoint

	mu     sync.Mutex // of changes of endpoints' health and ejections, and below
	judged time.Time  // when success rates were last compared
	errors *errorBreaker

	// Totals.
	refused  [bounds]atomic.Uint64
	retried  atomic.Uint64
	ejected  [causes]atomic.Uint64
	tries    [results]atomic.Uint64
	uses     [2]atomic.Uint64 // of new and of kept connections
	dials    [2]atomic.Uint64 // that failed and that succeeded
	checks   [2]atomic.Uint64 // likewise
	postpone atomic.Uint64    // checks for which no worker was free in time
}

func newGroup(s *Set, name string) *group {
	g := &group{set: s, name: name, endpoints: map[endpointKey]*Endpoint{}}
	g.queue.group = g
	return g
}

// breakerFor returns the breaker of a policy, with what it has counted where
// the policy has not changed.
func (g *group) breakerFor(policy *edge.ErrorBreaker) *errorBreaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if policy == nil {
		return nil
	}
	if g.errors == nil || !g.errors.has(policy) {
		g.errors = newErrorBreaker(*policy)
	}
	return g.errors
}

// smoothing is the weight of what is known in the smoothed time of an answer.
const smoothing = 16

// answered keeps the smoothed time. Of two at once one may be lost.
func (g *group) answered(took time.Duration) {
	before := g.tookNS.Load()
	if before == 0 {
		g.tookNS.Store(int64(took))
		return
	}
	g.tookNS.Store(before + (int64(took)-before)/smoothing)
}

// took is how long an answer takes by and large, and with it how long until
// what is full has been emptied once.
func (g *group) took() time.Duration { return time.Duration(g.tookNS.Load()) }

// closeIdle closes every kept connection.
func (g *group) closeIdle() {
	for _, m := range g.newest.Load().members {
		m.idle.close()
	}
}

// sweep closes connections that are idle for too long.
func (g *group) sweep(now time.Time) {
	c := g.newest.Load()
	for _, m := range c.members {
		m.idle.sweep(now.Add(-c.settings.Pool.IdleTimeout))
	}
}
