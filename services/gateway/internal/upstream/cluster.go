package upstream

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// minRetries may be on the way whatever the share of requests that they are.
const minRetries = 3

// Cluster is one cluster of a View.
type Cluster struct {
	settings    edge.Cluster
	group       *group
	credentials *credentials
	breaker     *errorBreaker // nil: none
	members     []member
	ring        *ring // of RingHash only
	choice      atomic.Pointer[choice]
}

// Settings are what it was made of, with defaults filled in. They are not to
// be changed.
func (c *Cluster) Settings() *edge.Cluster { return &c.settings }

// Admit lets a request in, or refuses it by ErrFull or ErrOpen. One that was
// let in is to be given back by Release, once, when it is over.
func (c *Cluster) Admit(now time.Time) error {
	g := c.group
	if g.requests.Add(1) > int64(c.settings.MaxRequests) {
		g.requests.Add(-1)
		g.refused[boundRequests].Add(1)
		return full(boundRequests, g.took())
	}
	if c.breaker != nil {
		if wait, admitted := c.breaker.admit(now); !admitted {
			g.requests.Add(-1)
			g.refused[boundErrors].Add(1)
			return open(wait)
		}
	}
	return nil
}

// Release gives back what Admit took.
func (c *Cluster) Release() { c.group.requests.Add(-1) }

// BeginRetry tells whether one more retry may be on the way now: at most
// MaxRetries, and at most RetryBudget of the requests in flight or 3 of them,
// whichever is more. Where it says true, EndRetry is to be called when that
// try is over.
func (c *Cluster) BeginRetry() bool {
	share := int64(c.settings.RetryBudget * float64(c.group.requests.Load()))
	return c.beginRetry(max(share, minRetries))
}

// BeginElsewhere is BeginRetry after a try that reached nobody. Such a try costs
// the upstream nothing, so MaxRetries alone bounds those that follow it.
func (c *Cluster) BeginElsewhere() bool { return c.beginRetry(math.MaxInt64) }

func (c *Cluster) beginRetry(most int64) bool {
	g := c.group
	if g.retries.Add(1) > min(int64(c.settings.MaxRetries), most) {
		g.retries.Add(-1)
		g.refused[boundRetries].Add(1)
		return false
	}
	g.retried.Add(1)
	return true
}

// EndRetry gives back what BeginRetry took.
func (c *Cluster) EndRetry() { c.group.retries.Add(-1) }
