// Package informer keeps a typed copy of one kind of object in memory: it
// lists the objects once, watches their changes from the list's revision, and
// tells handlers about them in order.
//
//	informer.go  Informer, its life: list, watch, resume, back off
//	store.go     the objects and the handlers
//	source.go    where objects come from: Source, Item, Batch
//	remote.go    a Source over the configstore's API
//	kubernetes/  a Source over EndpointSlices
//	static.go    a Source in memory, for tests and fixed configuration
//	snapshot.go  the last good state on disk, used while the source is down
//	metrics.go   what is counted
//
// Reads never block on the network and stay possible while the source is down.
// It does not write objects and does not interpret them. All methods are safe
// for concurrent use; handlers run one at a time.
package informer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
)

// Config holds what has a default.
type Config struct {
	// Namespace to hold; empty means all.
	Namespace string
	// SnapshotFile keeps the last good state on disk; empty means none.
	SnapshotFile string
	// SnapshotEvery is the shortest time between two writes of the snapshot;
	// default 1 s.
	SnapshotEvery time.Duration
	// ListTimeout bounds one listing; default 5 s.
	ListTimeout time.Duration
	// IdleTimeout is how long a watch may be silent, bookmarks included,
	// before it is opened anew; default 45 s.
	IdleTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait after a failure, drawn at
	// random up to a bound that doubles; default 100 ms and 10 s.
	BackoffMin, BackoffMax time.Duration
	// Log is discarded where nil.
	Log *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&c.SnapshotEvery, time.Second)
	fill(&c.ListTimeout, 5*time.Second)
	fill(&c.IdleTimeout, 45*time.Second)
	fill(&c.BackoffMin, 100*time.Millisecond)
	fill(&c.BackoffMax, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Informer holds the objects of one kind. Specs that it gives out are shared:
// read them, never change them.
type Informer[T proto.Message] struct {
	source  Source
	kind    string
	config  Config
	metrics metrics
	store   store[T]

	synced     chan struct{}
	syncedOnce sync.Once
	dirty      chan struct{} // holds one token while the snapshot is out of date
}

// New returns an informer that is empty until Run. T is the kind's message,
// as in New[*rulesv1.Ruleset](source, "Ruleset", informer.Config{}).
func New[T proto.Message](source Source, kind string, config Config) *Informer[T] {
	config = config.withDefaults()
	config.Log = config.Log.With("kind", kind)
	return &Informer[T]{
		source:  source,
		kind:    kind,
		config:  config,
		metrics: newMetrics(config.Registerer, kind),
		store:   newStore[T](),
		synced:  make(chan struct{}),
		dirty:   make(chan struct{}, 1),
	}
}

// Get returns the spec of an object. An empty namespace means "default".
func (i *Informer[T]) Get(namespace, name string) (spec T, found bool) {
	if object, found := i.store.get(namespace, name); found {
		return object.Spec, true
	}
	return spec, false
}

// Object returns a whole object. An empty namespace means "default".
func (i *Informer[T]) Object(namespace, name string) (*Object[T], bool) {
	return i.store.get(namespace, name)
}

// List returns all objects, ordered by namespace and name.
func (i *Informer[T]) List() []*Object[T] { return i.store.list() }

// OnChange adds a handler. It is given the objects that are there already as
// one batch of Added, and then every batch of changes in order. A handler that
// takes long holds this informer back, nobody else. It must not call OnChange.
func (i *Informer[T]) OnChange(handler func([]Event[T])) { i.store.addHandler(handler) }

// Synced is closed when the informer holds a list of the source or, where the
// source failed at first, the snapshot of an earlier run.
func (i *Informer[T]) Synced() <-chan struct{} { return i.synced }

// WaitSynced waits for Synced, with handlers already told of what was found.
func (i *Informer[T]) WaitSynced(ctx context.Context) error {
	select {
	case <-i.synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Revision is the source's revision that the informer has reached, 0 before it
// has listed.
func (i *Informer[T]) Revision() int64 { return i.store.revision() }

// Run lists and watches until ctx ends and then returns nil. Failures of the
// source are logged, counted and tried again.
func (i *Informer[T]) Run(ctx context.Context) error {
	var saver sync.WaitGroup
	if i.config.SnapshotFile != "" {
		saver.Go(func() { i.saveLoop(ctx) })
	}
	defer saver.Wait()

	listed := false
	for failures := 0; ctx.Err() == nil; {
		progress, err := i.follow(ctx, &listed)
		if ctx.Err() != nil {
			return nil
		}
		if progress {
			failures = 0
		}
		failures++
		wait := i.backoff(failures)
		i.config.Log.Warn("configuration source is lost", "err", err, "attempt", failures, "wait", wait)
		i.loadSnapshot()
		pause(ctx, wait)
	}
	return nil
}

// follow lists unless listed and then watches until that fails. progress tells
// that something was received.
func (i *Informer[T]) follow(ctx context.Context, listed *bool) (progress bool, err error) {
	if !*listed {
		if err := i.list(ctx); err != nil {
			i.metrics.failures.WithLabelValues(i.kind, "list").Inc()
			return false, err
		}
		*listed, progress = true, true
	}
	received, err := i.watch(ctx)
	if errors.Is(err, ErrCompacted) {
		*listed = false
	}
	if ctx.Err() == nil {
		i.metrics.failures.WithLabelValues(i.kind, "watch").Inc()
	}
	return progress || received, err
}

func (i *Informer[T]) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, i.config.ListTimeout)
	defer cancel()
	items, revision, err := i.source.List(ctx, i.kind, i.config.Namespace)
	if err != nil {
		return err
	}
	i.metrics.lists.WithLabelValues(i.kind).Inc()
	i.replace(items, revision)
	i.changed() // that a kind has no objects is a state to start from, too
	i.metrics.connected.WithLabelValues(i.kind).Set(1)
	i.markSynced()
	return nil
}

func (i *Informer[T]) watch(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(i.config.IdleTimeout, func() { cancel(errIdle) })
	defer idle.Stop()
	defer i.metrics.connected.WithLabelValues(i.kind).Set(0)

	err = i.source.Watch(ctx, i.kind, i.config.Namespace, i.store.revision(), func(batch Batch) error {
		idle.Reset(i.config.IdleTimeout)
		i.metrics.connected.WithLabelValues(i.kind).Set(1)
		progress = true
		i.apply(batch)
		return nil
	})
	if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
		err = errIdle
	}
	return progress, err
}

func (i *Informer[T]) replace(items []Item, revision int64) {
	objects := make(map[key]*Object[T], len(items))
	for _, item := range items {
		id := keyOf(item.Namespace, item.Name)
		object, err := decode[T](item)
		if err != nil {
			i.refuse(item, err)
			if old, found := i.store.get(item.Namespace, item.Name); found {
				objects[id] = old
			}
			continue
		}
		objects[id] = object
	}
	i.delivered(i.store.replace(objects, revision))
}

func (i *Informer[T]) apply(batch Batch) {
	changes := make([]change[T], 0, len(batch.Changes))
	for _, raw := range batch.Changes {
		c := change[T]{key: keyOf(raw.Namespace, raw.Name)}
		if !raw.Deleted {
			object, err := decode[T](raw.Item)
			if err != nil {
				i.refuse(raw.Item, err)
				continue
			}
			c.object = object
		}
		changes = append(changes, c)
	}
	i.delivered(i.store.apply(changes, batch.Revision))
}

func (i *Informer[T]) delivered(events []Event[T]) {
	i.metrics.count(i.kind, i.store.size(), len(events))
	if len(events) > 0 {
		i.changed()
	}
}

// changed lets the snapshot be written.
func (i *Informer[T]) changed() {
	select {
	case i.dirty <- struct{}{}:
	default:
	}
}

// refuse keeps what was known of an object whose new spec cannot be decoded.
func (i *Informer[T]) refuse(item Item, err error) {
	i.metrics.refused.WithLabelValues(i.kind).Inc()
	i.config.Log.Error("object cannot be decoded and is left as it was",
		"namespace", item.Namespace, "name", item.Name, "revision", item.Revision, "err", err)
}

func (i *Informer[T]) markSynced() { i.syncedOnce.Do(func() { close(i.synced) }) }

func (i *Informer[T]) backoff(failures int) time.Duration {
	bound := i.config.BackoffMax
	if shift := failures - 1; shift < 20 {
		bound = min(bound, i.config.BackoffMin<<shift)
	}
	return bound/10 + rand.N(bound-bound/10)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
