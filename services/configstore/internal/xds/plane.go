// Package xds is the control plane: it renders routes, clusters, keys and
// instances into Envoy's resources and serves them over ADS.
//
//	plane.go     Plane: follows the store, keeps the newest snapshot
//	state.go     the objects that are rendered
//	render.go    objects to resources; route.go and cluster.go are its parts,
//	             memo.go keeps what has not changed
//	snapshot.go  a whole configuration, validated and marshalled once
//	stream.go    the ADS protocol, state of the world, of one client
//	server.go    the endpoint
//	metrics.go
//
// A snapshot is closed under its references, and all of its resources are of
// one release. Clients are sent CDS, EDS, LDS, RDS in this order. It does not
// decide who may connect.
package xds

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// retryAfter is the wait before the store is asked again.
const retryAfter = 200 * time.Millisecond

// Plane renders the objects of one tenant.
type Plane struct {
	store   *store.Store
	tenant  string
	log     *slog.Logger
	metrics *metrics
	ready   chan struct{} // closed at the first snapshot

	mu       sync.Mutex
	renderer renderer
	current  *snapshot
	changed  chan struct{} // closed and replaced at every new snapshot
}

// NewPlane returns a control plane that has no snapshot until Run.
func NewPlane(s *store.Store, tenant string, log *slog.Logger, registerer prometheus.Registerer) *Plane {
	return &Plane{
		store: s, tenant: tenant, log: log, metrics: newMetrics(registerer),
		ready: make(chan struct{}), changed: make(chan struct{}),
	}
}

// Run renders until ctx ends and then returns nil.
func (p *Plane) Run(ctx context.Context) error {
	for {
		err := p.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.log.Warn("control plane lists anew", "err", err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return nil
		}
	}
}

// Ready is closed when there is a snapshot.
func (p *Plane) Ready() <-chan struct{} { return p.ready }

// follow lists once and applies changes until something fails.
func (p *Plane) follow(ctx context.Context) error {
	state, revision, err := p.load(ctx)
	if err != nil {
		return err
	}
	sub, err := p.store.Subscribe(ctx, p.tenant, "", "", revision)
	if err != nil {
		return err
	}
	defer sub.Close()
	p.publish(state)
	for {
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		matters := false
		for _, event := range batch.Events {
			matters = p.take(state, event) || matters
		}
		if matters {
			p.publish(state)
		}
	}
}

func (p *Plane) load(ctx context.Context) (*state, int64, error) {
	objects, revision, err := p.store.ListAll(ctx, p.tenant)
	if err != nil {
		return nil, 0, err
	}
	state := newState()
	for _, o := range objects {
		p.take(state, &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o})
	}
	// The newest release may have left no object: one of deletions.
	releases, _, err := p.store.Releases(ctx, p.tenant, "", 500)
	if err != nil {
		return nil, 0, err
	}
	for _, release := range releases {
		touches := func(key *configstorev1.Key) bool { return rendered(key.GetKind()) }
		if release.GetRevision() <= revision && slices.ContainsFunc(release.GetKeys(), touches) {
			state.released(release.GetId(), release.GetRevision())
			break
		}
	}
	return state, revision, nil
}

func (p *Plane) take(state *state, event *configstorev1.Event) bool {
	matters, err := state.apply(event)
	if err != nil {
		p.metrics.failures.Inc()
		p.log.Error("object is left out of xds", "err", err)
	}
	return matters
}

// publish makes a state the current snapshot. One that cannot be served is
// reported, and the one before stays.
func (p *Plane) publish(state *state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, err := p.seal(state)
	if err != nil {
		p.metrics.failures.Inc()
		p.log.Error("release cannot be rendered, the one before stays", "release_id", state.release, "err", err)
		return
	}
	if next.same(p.current) {
		return
	}
	if p.current == nil {
		close(p.ready)
	}
	p.current = next
	p.metrics.snapshots.Inc()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Plane) seal(state *state) (*snapshot, error) {
	rendered, err := p.renderer.render(state)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return seal(state.release, rendered, p.current)
}

// newest is the snapshot in force, nil before the first, and a channel that is
// closed when there is a newer one.
func (p *Plane) newest() (*snapshot, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current, p.changed
}
