// Package upstream is where requests go: clusters of endpoints, which of them
// gets a request, how many may be on the way, and the connections that are kept
// to them.
//
//	upstream.go   Config, Set: everything that outlives a configuration
//	view.go       View: the clusters of one configuration; how one follows another
//	settings.go   what a configuration leaves open, and what is wrong with it
//	secure.go     TLS to endpoints, from secrets that may change
//	cluster.go    Cluster: bounds on requests and retries
//	group.go      what of a cluster outlives configurations
//	breaker.go    the breaker of errors
//	endpoint.go   Endpoint: what is known of one upstream
//	outcome.go    what became of a try
//	outlier.go    endpoints that are left alone for their answers
//	health.go     when endpoints are asked how they are
//	probe.go      how they are asked
//	pick.go       which endpoint gets a try
//	wheel.go      turns by weight
//	draw.go       draws by weight
//	ring.go       the ring of hashes
//	conn.go       Conn, a connection to an endpoint
//	idle.go       kept connections
//	queue.go      how many connections there are, and who waits for one
//	dial.go       new connections
//	refusal.go    errors, and when to come back
//	metrics.go    what is counted
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
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Config is what a Set needs. Zero fields mean what is written beside them.
type Config struct {
	Clock func() time.Time // time.Now
	// Seed of everything drawn at random, for tests; 0: the runtime's.
	Seed uint64
	// Dial makes connections; network is tcp or unix. net.Dialer's, which
	// sets TCP_NODELAY.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config // of clusters without settings of their own: the system's authorities
	Zone string      // that we are in; endpoints of it are preferred: none is
	Log  *slog.Logger
	// Registerer of the metrics; they are kept but not exposed.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Set holds all endpoints, through all configurations.
type Set struct {
	config Config
	random random
	house  *credentials // of clusters without settings of their own

	mu     sync.Mutex
	views  []*View // not retired, oldest first; the last is the newest
	groups map[string]*group
}

// New makes an empty Set.
func New(config Config) *Set {
	s := &Set{config: config.withDefaults(), groups: map[string]*group{}}
	s.random.seed(config.Seed)
	s.house = &credentials{config: s.config.TLS}
	if config.Registerer != nil {
		config.Registerer.MustRegister(&collector{set: s})
	}
	return s
}

const (
	// tick is how often it is looked whether health checks are due.
	tick = 100 * time.Millisecond
	// ticksPerSweep between sweeps of idle connections and ejections.
	ticksPerSweep = 10
)

// Run checks the health of endpoints, judges outliers and closes connections
// that are idle for too long, until ctx ends; then it closes all idle ones. It
// is called once.
func (s *Set) Run(ctx context.Context) error {
	checks := make(chan *Endpoint, checkQueue)
	var workers sync.WaitGroup
	for range checkWorkers {
		workers.Go(func() {
			for e := range checks {
				e.check(ctx)
			}
		})
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			close(checks)
			workers.Wait()
			s.each(func(g *group) { g.closeIdle() })
			return nil
		case <-ticker.C:
		}
		now := s.config.Clock()
		s.each(func(g *group) { g.schedule(checks, now) })
		if n%ticksPerSweep == 0 {
			s.each(func(g *group) {
				g.judge(now)
				g.sweep(now)
			})
		}
	}
}

// each calls do for every group, which may be retired meanwhile.
func (s *Set) each(do func(*group)) {
	s.mu.Lock()
	groups := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	s.mu.Unlock()
	for _, g := range groups {
		do(g)
	}
}

// Build makes a View of some clusters. Endpoints that are there already are
// taken over with all that is known of them. Its errors name the cluster and
// the field; nothing has changed then. The View is in force for health checks
// and bounds at once; who does not put it in force retires it.
func (s *Set) Build(clusters map[string]edge.Cluster, secrets map[string]edge.Secret) (*View, error) {
	plans, err := s.plan(clusters, secrets)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	v := &View{set: s, clusters: make(map[string]*Cluster, len(plans))}
	for _, p := range plans {
		v.clusters[p.settings.Name] = s.cluster(p)
	}
	s.views = append(s.views, v)
	s.adopt(v)
	s.mu.Unlock()
	v.settle()
	return v, nil
}
