// Package relay is the path of an exchange: the configuration in force is
// pinned, a route found, its policies run, and its target serves.
//
//	relay.go     Relay; putting a configuration in force
//	route.go     a route, compiled
//	plan.go      Decide: what never waits; Plan
//	serve.go     Go: the rest, by target
//	flight.go    a cluster's exchange: tries, budget, backoff
//	attempt.go   one try over HTTP/1.1: the request out, the answer's head in
//	body.go      the answer's body
//	upload.go    the request's body, where it is not held
//	upgrade.go   connections that change their protocol
//	other.go     endpoints that speak something else than HTTP/1.1
//	courier.go   the request's body to one of those
//	grpc.go      statuses and timeouts of gRPC
//	mirror.go    copies of requests
//	hedge.go     second copies of requests that are slow
//	answer.go    what the gateway itself answers
//	web.go       targets that are handlers of net/http: media and console
//
// A request keeps the configuration that it began with. Bodies are streamed
// both ways; of a request's at most a bound is held, to be sent again.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// Media serves an object of a bucket to who has a grant for it.
type Media interface {
	ServeMedia(w http.ResponseWriter, r *http.Request, bucket, object string)
}

// Config is what a Relay needs.
type Config struct {
	Upstreams  *upstream.Set
	Filters    *filter.Env
	Media      Media
	Console    http.Handler     // nil: there is none
	Other      Transport        // to endpoints that do not speak HTTP/1.1; nil: net/http's HTTP/2
	Clock      func() time.Time // time.Now
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Relay carries exchanges by the configuration in force. It implements
// exchange.Handler.
type Relay struct {
	config  Config
	watcher *filter.Watcher
	metrics *metrics
	mirrors chan struct{} // copies on their way
	work    sync.WaitGroup
	current atomic.Pointer[state]

	mu sync.Mutex // of Swap
}

var _ exchange.Handler = (*Relay)(nil)

// state is one configuration in force.
type state struct {
	config *edge.Config
	view   *upstream.View
	routes map[*edge.Route]*route
}

// New returns a relay that answers 503 until the first Swap.
func New(config Config) *Relay {
	if config.Clock == nil {
		config.Clock = time.Now
	}
	return &Relay{
		config: config, watcher: config.Filters.Watcher(), metrics: newMetrics(config.Registerer),
		mirrors: make(chan struct{}, mostMirrors),
	}
}

// Swap puts a checked configuration in force for the requests that follow.
// Where it cannot be compiled, the old one stays and the error names the
// object and the field.
func (r *Relay) Swap(config *edge.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	config.Compile()
	view, err := r.config.Upstreams.Build(config.Clusters, config.Secrets)
	if err != nil {
		return err
	}
	next := &state{config: config, view: view, routes: map[*edge.Route]*route{}}
	for h := range config.Hosts {
		for i := range config.Hosts[h].Routes {
			one := &config.Hosts[h].Routes[i]
			if next.routes[one], err = compile(one, config, view, r.config.Filters); err != nil {
				view.Retire()
				return fmt.Errorf("route %q: %w", one.Name, err)
			}
		}
	}
	if old := r.current.Swap(next); old != nil {
		old.view.Retire()
	}
	return nil
}

// Current is the configuration in force, nil before the first.
func (r *Relay) Current() *edge.Config {
	if s := r.current.Load(); s != nil {
		return s.config
	}
	return nil
}

// Cluster finds a cluster of the configuration in force, nil where there is
// none.
func (r *Relay) Cluster(name string) *upstream.Cluster {
	if s := r.current.Load(); s != nil {
		return s.view.Cluster(name)
	}
	return nil
}

// Wait returns once nothing is under way that no exchange waits for.
func (r *Relay) Wait() { r.work.Wait() }

// Serve implements exchange.Handler.
func (r *Relay) Serve(ctx context.Context, x *exchange.Exchange) error {
	return r.Go(ctx, x, r.Decide(x))
}
