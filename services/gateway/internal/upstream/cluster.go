package upstream

import (
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Cluster is one cluster of a View.
type Cluster struct{ settings edge.Cluster }

// Settings are what it was made of. They are not to be changed.
func (c *Cluster) Settings() *edge.Cluster { return &c.settings }

// Admit lets a request in, or refuses it by ErrFull or ErrOpen. One that was
// let in is to be given back by Release, once, when it is over.
func (c *Cluster) Admit(now time.Time) error { return nil }

// Release gives back what Admit took.
func (c *Cluster) Release() {}

// Pick chooses an endpoint for a try. keyed says that the request has a key,
// by which ring hash goes; the other ways ignore it. Endpoints already tried
// are chosen only where there is no other. It returns ErrNoEndpoint where no
// endpoint is left. The try is to be counted by Begin and Done.
func (c *Cluster) Pick(key uint64, keyed bool, tried []*Endpoint) (*Endpoint, error) {
	return nil, ErrNoEndpoint
}

// BeginRetry tells whether one more retry may be on the way now: at most
// MaxRetries, and at most RetryBudget of the requests in flight. Where it says
// true, EndRetry is to be called when that try is over.
func (c *Cluster) BeginRetry() bool { return false }

// EndRetry gives back what BeginRetry took.
func (c *Cluster) EndRetry() {}
