// Package xds is the control plane: it renders routes, clusters, keys and
// instances into Envoy's resources, which package ads serves.
//
//	plane.go     Plane: follows the store, and what else has instances
//	outside.go   instances that an informer finds, as in Kubernetes
//	line.go      line: from a state to snapshots, anew only what has changed
//	canary.go    which nodes get every release first, and when the others follow
//	tried.go     what the nodes that an operator's canary chooses are given
//	state.go     the objects that are rendered
//	render.go    objects to resources; route.go and cluster.go are its parts,
//	             memo.go keeps what has not changed
//	node.go      what nodes made of what they were given
//	seal.go      resources validated and marshalled, once
//	metrics.go   what is counted
//
// A snapshot is closed under its references, and all of its resources are of
// one release. One that cannot be served is reported and the one before stays.
// It does not decide who may connect.
package xds

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// retryAfter is the wait before the store is asked again.
const retryAfter = 200 * time.Millisecond

// burst bounds the batches of changes that wait while a snapshot is made.
const burst = 64

// Config is what a Plane needs.
type Config struct {
	Store  *store.Store
	Tenant string // whose objects are rendered
	Canary Canary // the zero value: all nodes get a release at once
	// MaxStreams bounds the clients that are connected; 0: package ads' default.
	MaxStreams int
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Plane renders the objects of one tenant and serves them.
type Plane struct {
	config  Config
	server  *ads.Server
	metrics *metrics
	ready   chan struct{} // closed at the first snapshot

	// Of the goroutine of Run. With canaries, stable is behind first while a
	// release is tried.
	stable, first *line
	trial         trial
	tried         *tried // over stable, while a canary of an operator's runs

	chooses atomic.Pointer[configstorev1.Canary] // nodes; nil: none

	mu      sync.Mutex
	outside map[string]*configstorev1.Instance // that are no objects
	moved   map[string]*configstorev1.Instance // those not yet rendered; nil: gone
	placed  chan struct{}                      // holds one token while there are such
}

// NewPlane returns a control plane that has no snapshot until Run.
func NewPlane(config Config) *Plane {
	p := &Plane{
		config:  config,
		metrics: newMetrics(config.Registerer), ready: make(chan struct{}),
		outside: make(map[string]*configstorev1.Instance), moved: make(map[string]*configstorev1.Instance),
		placed: make(chan struct{}, 1),
	}
	p.server = ads.NewServer(ads.Config{
		View: p.view(config.Canary.view()), MaxStreams: config.MaxStreams, Log: config.Log, Registerer: config.Registerer,
	})
	return p
}

// Handler serves ads.Procedures. allow says who may connect; its error is the
// caller's.
func (p *Plane) Handler(allow func(*http.Request) error) http.Handler { return p.server.Handler(allow) }

// Ready is closed when there is a snapshot.
func (p *Plane) Ready() <-chan struct{} { return p.ready }

// Place adds, replaces and removes (nil) instances that are no objects of the
// store, by names of the caller's.
func (p *Plane) Place(instances map[string]*configstorev1.Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, instance := range instances {
		p.moved[name] = instance
		if instance == nil {
			delete(p.outside, name)
		} else {
			p.outside[name] = instance
		}
	}
	select {
	case p.placed <- struct{}{}:
	default:
	}
}

// Run renders until ctx ends and then returns nil.
func (p *Plane) Run(ctx context.Context) error {
	for {
		err := p.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.config.Log.Warn("control plane lists anew", "err", err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow lists once and applies changes until something fails.
func (p *Plane) follow(ctx context.Context) error {
	state, objects, revision, err := p.load(ctx)
	if err != nil {
		return err
	}
	canaries, err := p.config.Store.CanariesAt(ctx, p.config.Tenant, revision)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := p.config.Store.Subscribe(ctx, p.config.Tenant, "", "", revision)
	if err != nil {
		return err
	}
	defer sub.Close()
	sub.WithCanaries()
	batches, failed := make(chan store.Batch, burst), make(chan error, 1)
	var feeder sync.WaitGroup
	feeder.Go(func() { failed <- feed(ctx, sub, batches) })
	defer func() { cancel(); feeder.Wait() }()

	p.tried = nil
	for _, c := range canaries {
		p.try(c)
		p.tried.compare(objects)
	}
	p.restart(state)
	for {
		select {
		case batch := <-batches:
			p.take(batch)
			for range len(batches) { // what has come meanwhile is one snapshot
				p.take(<-batches)
			}
		case <-p.placed:
			p.place()
		case <-p.trial.ends():
		case <-p.server.Moved(canaryView):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		p.publish()
	}
}

func feed(ctx context.Context, sub *store.Subscription, to chan<- store.Batch) error {
	for {
		batch, err := sub.Next()
		if err != nil {
			return err
		}
		select {
		case to <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Plane) load(ctx context.Context) (*state, []*configstorev1.Object, int64, error) {
	objects, revision, err := p.config.Store.ListAll(ctx, p.config.Tenant)
	if err != nil {
		return nil, nil, 0, err
	}
	state := newState()
	for _, o := range objects {
		if o.GetUnreadable() {
			state.keep(p.newest(), o.GetKey())
			continue
		}
		p.apply(state, &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o})
	}
	// The newest release may have left no object: one of deletions.
	releases, _, err := p.config.Store.Releases(ctx, p.config.Tenant, "", 500)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, release := range releases {
		touches := func(key *configstorev1.Key) bool { return rendered(key.GetKind()) }
		if release.GetRevision() <= revision && slices.ContainsFunc(release.GetKeys(), touches) {
			state.released(release.GetId(), release.GetRevision())
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, instance := range p.outside {
		state.place(name, instance)
	}
	clear(p.moved)
	return state, objects, revision, nil
}

// newest is the state that is served to canaries, or to all where there are
// none; nil before the first.
func (p *Plane) newest() *state {
	switch {
	case p.first != nil:
		return p.first.state
	case p.stable != nil:
		return p.stable.state
	}
	return nil
}

// restart goes on from a state that was listed.
func (p *Plane) restart(state *state) {
	switch {
	case p.stable == nil || !p.config.Canary.enabled():
		p.stable = p.stable.at(state)
		if p.config.Canary.enabled() {
			p.first = p.first.at(state.clone())
		}
	default: // what was missed may be a release: canaries first
		p.stable.state.meet(state)
		p.stable.matters(true)
		p.first = p.first.at(state)
	}
	p.publish()
}

// take applies what happened in the store, in order.
func (p *Plane) take(batch store.Batch) {
	canaries := batch.Canaries
	for _, event := range batch.Events {
		for len(canaries) > 0 && canaries[0].GetRevision() < event.GetObject().GetRevision() {
			p.try(canaries[0])
			canaries = canaries[1:]
		}
		p.tried.lose(event.GetObject().GetKey())
		switch {
		case p.first == nil:
			p.stable.matters(p.apply(p.stable.state, event))
		case rendered(event.GetObject().GetKey().GetKind()):
			p.first.matters(p.apply(p.first.state, event))
		default:
			p.first.matters(p.apply(p.first.state, event))
			p.stable.matters(p.apply(p.stable.state, event))
		}
	}
	for _, c := range canaries {
		p.try(c)
	}
}

// place applies instances from elsewhere.
func (p *Plane) place() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range []*line{p.stable, p.first} {
		if line == nil {
			continue
		}
		for name, instance := range p.moved {
			line.state.place(name, instance)
		}
		line.matters(len(p.moved) > 0)
	}
	clear(p.moved)
}

func (p *Plane) apply(state *state, event *configstorev1.Event) bool {
	matters, err := state.apply(event)
	if err != nil {
		p.metrics.failures.Inc()
		p.config.Log.Error("object is left out of xds", "err", err)
	}
	return matters
}

// publish serves what has changed: to canaries at once, to all others when
// canaries have proved the release.
func (p *Plane) publish() {
	if p.first != nil {
		if p.advance(p.first, canaryView) {
			p.trial.begin(p.first.last.Release(), p.stable.last, p.config.Canary.Hold)
		}
		p.judge()
	}
	moved := p.advance(p.stable, "")
	if moved {
		select {
		case <-p.ready:
		default:
			close(p.ready)
		}
	}
	p.publishTried(moved)
}

// advance publishes the next snapshot of a line where there is one.
func (p *Plane) advance(line *line, view string) bool {
	changed, err := line.next()
	if err != nil {
		p.metrics.failures.Inc()
		p.config.Log.Error("release cannot be rendered, the one before stays", "release_id", line.state.release, "err", err)
	}
	if !changed {
		return false
	}
	p.server.Publish(view, line.last)
	return true
}
