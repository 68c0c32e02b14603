// Package informer keeps a typed copy of one kind of object in memory: it
// lists the objects once, watches their changes from the list's revision, and
// tells handlers about them in order.
//
//	informer.go  Informer, its life: list, watch, resume, back off, resync
//	config.go    what has a default
//	source.go    where objects come from: Source, Item, Batch
//	decoder.go   what makes values of items: messages, or a projection of one's own
//	store.go     the objects, and the handlers that are told at once
//	event.go     what handlers are told
//	follow.go    handlers that may be slow
//	index.go     objects found by values
//	snapshot.go  the last good state on disk, used while the source is down
//	metrics.go   what is counted
//	remote.go    a Source over the configstore's API
//	share.go     a Source whose watches are shared by the informers of a process
//	ack.go       what the source is told of objects that were rejected
//	report.go    Reporter: tells the configstore for a whole process
//	static.go    a Source in memory, for tests and fixed configuration
//	kubernetes/  a Source over a Kubernetes API server
//	wire/        fields of protobuf messages, read and left out without decoding
//
// Reads never block on the network and stay possible while the source is down.
// It does not write objects and does not interpret them. All methods are safe
// for concurrent use; handlers run one at a time.
package informer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// Informer holds the objects of one kind. Values that it gives out are shared:
// read them, never change them.
type Informer[T any] struct {
	source  Source
	kind    string
	decoder Decoder[T]
	config  Config
	metrics metrics
	store   store[T]
	acks    acks
	random  *rand.Rand  // of Run's goroutine
	changes []change[T] // room for a batch, used again

	synced     chan struct{}
	syncedOnce sync.Once
	dirty      chan struct{} // holds one token while the snapshot is out of date
}

// New returns an informer of messages that is empty until Run. T is the kind's
// message, as in New[*rulesv1.Ruleset](source, "Ruleset", informer.Config{}).
func New[T proto.Message](source Source, kind string, config Config) *Informer[T] {
	return NewDecoded(source, kind, messages[T]{}, config)
}

// NewDecoded returns an informer of what decoder makes, which is empty until
// Run. Where a snapshot file is configured, decoder has to be a Keeper.
func NewDecoded[T any](source Source, kind string, decoder Decoder[T], config Config) *Informer[T] {
	config = config.withDefaults()
	config.Log = config.Log.With("kind", kind)
	counts := newMetrics(config.Registerer, kind)
	return &Informer[T]{
		source:  source,
		kind:    kind,
		decoder: decoder,
		config:  config,
		metrics: counts,
		store:   newStore[T](config.QueueEvents, func(n int) { counts.coalesced.WithLabelValues(kind).Add(float64(n)) }),
		random:  rand.New(rand.NewPCG(config.Seed, 0)),
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
// one batch of Added, and then every batch of changes in order, as part of
// storing it: what WaitSynced waits for, it has been told. A handler that
// takes long holds this informer and its other handlers back; Follow is for
// those. It must not keep the events, nor call OnChange or Follow.
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
// source are logged, counted and tried again. It fails at once where the
// decoder cannot do what Config asks for.
func (i *Informer[T]) Run(ctx context.Context) error {
	defer i.acks.begin(i.source, i.kind)()
	var beside sync.WaitGroup
	defer beside.Wait()
	if i.config.SnapshotFile != "" {
		if _, keeps := i.decoder.(Keeper[T]); !keeps {
			return errKeeper
		}
		beside.Go(func() { i.saveLoop(ctx) })
	}
	if i.config.Resync > 0 {
		beside.Go(func() { i.resyncLoop(ctx) })
	}
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
		if progress && errors.Is(err, ErrEnded) {
			i.config.Log.Debug("watch has ended and is opened anew", "wait", wait)
		} else {
			wait = i.patience(err, wait)
			i.config.Log.Warn("source is lost", "err", err, "attempt", failures, "wait", wait)
			i.loadSnapshot()
		}
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
	if errors.Is(err, ErrCompacted) || errors.Is(err, errTooMany) {
		*listed = false
	}
	if ctx.Err() == nil && !errors.Is(err, ErrEnded) {
		i.metrics.failures.WithLabelValues(i.kind, "watch").Inc()
	}
	return progress || received, err
}

func (i *Informer[T]) list(ctx context.Context) error {
	ctx, heard, stop := i.listen(ctx, i.config.ListTimeout)
	defer stop()
	var objects []*Object[T]
	i.acks.relist()
	revision, err := i.source.List(ctx, i.kind, i.config.Namespace, func(items []Item) (err error) {
		heard()
		objects, err = i.accept(objects, items)
		return err
	})
	if err != nil {
		return silence(ctx, err)
	}
	i.metrics.lists.WithLabelValues(i.kind).Inc()
	i.delivered(i.store.replace(objects, revision))
	i.changed() // that a kind has no objects is a state to start from, too
	i.metrics.following.Set(1)
	i.markSynced()
	return nil
}

func (i *Informer[T]) watch(ctx context.Context) (progress bool, err error) {
	ctx, heard, stop := i.listen(ctx, i.config.IdleTimeout)
	defer stop()
	defer i.metrics.following.Set(0)
	err = i.source.Watch(ctx, i.kind, i.config.Namespace, i.store.revision(), func(batch Batch) error {
		heard()
		progress = true
		i.metrics.following.Set(1)
		return i.apply(batch)
	})
	return progress, silence(ctx, err)
}

// listen returns a context that is cancelled with errIdle where heard is not
// called for so long.
func (i *Informer[T]) listen(ctx context.Context, longest time.Duration) (_ context.Context, heard, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(longest, func() { cancel(errIdle) })
	return ctx, func() { idle.Reset(longest) }, func() { idle.Stop(); cancel(nil) }
}

// silence is err, or errIdle where that is why it came.
func silence(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errIdle) {
		return errIdle
	}
	return err
}

// accept decodes items of a list, unless they are held already.
func (i *Informer[T]) accept(objects []*Object[T], items []Item) ([]*Object[T], error) {
	if len(objects)+len(items) > i.config.MaxObjects {
		return nil, i.tooMany()
	}
	for n := range items {
		item := &items[n]
		held, found := i.store.get(item.Namespace, item.Name)
		if item.Unreadable {
			if found {
				objects = append(objects, held)
			}
			continue
		}
		if !found || held.Revision != item.Revision {
			object, err := i.decode(item)
			if err != nil {
				i.refuse(item, err)
				if !found {
					continue
				}
				object = held
			}
			held = object
		}
		objects = append(objects, held)
	}
	return objects, nil
}

func (i *Informer[T]) apply(batch Batch) error {
	changes := i.changes[:0]
	defer func() { clear(changes); i.changes = changes[:0] }()
	for n := range batch.Changes {
		raw := &batch.Changes[n]
		c := change[T]{key: keyOf(raw.Namespace, raw.Name)}
		if raw.Deleted {
			i.acks.forget(c.key)
		} else {
			object, err := i.decode(&raw.Item)
			if err != nil {
				i.refuse(&raw.Item, err)
				continue
			}
			c.object = object
		}
		changes = append(changes, c)
	}
	if i.store.size()+len(changes) > i.config.MaxObjects && i.store.sizeAfter(changes) > i.config.MaxObjects {
		return i.tooMany()
	}
	i.delivered(i.store.apply(changes, batch.Revision))
	return nil
}

var errTooMany = errors.New("too many objects")

func (i *Informer[T]) tooMany() error {
	return fmt.Errorf("%s: %w: more than Config.MaxObjects, %d", i.kind, errTooMany, i.config.MaxObjects)
}

func (i *Informer[T]) resyncLoop(ctx context.Context) {
	random := rand.New(rand.NewPCG(i.config.Seed, 1))
	every := i.config.Resync
	pause(ctx, time.Duration(random.Int64N(int64(every)))) // a random phase
	for ctx.Err() == nil {
		pause(ctx, every-every/10+time.Duration(random.Int64N(int64(every)/5+1)))
		if ctx.Err() == nil {
			i.store.resync()
			i.metrics.resyncs.WithLabelValues(i.kind).Inc()
		}
	}
}

func (i *Informer[T]) delivered(events int) {
	i.metrics.count(i.store.size(), events)
	if events > 0 {
		i.changed()
	}
	i.acknowledge(events > 0)
}

// changed lets the snapshot be written.
func (i *Informer[T]) changed() {
	select {
	case i.dirty <- struct{}{}:
	default:
	}
}

// refuse keeps what was known of an object whose new spec cannot be decoded.
func (i *Informer[T]) refuse(item *Item, err error) {
	i.metrics.refused.WithLabelValues(i.kind).Inc()
	i.acks.reject(keyOf(item.Namespace, item.Name), item.Revision, err, true)
	i.config.Log.Error("object cannot be decoded and is left as it was",
		"namespace", item.Namespace, "name", item.Name, "revision", item.Revision, "err", err)
}

func (i *Informer[T]) markSynced() { i.syncedOnce.Do(func() { close(i.synced) }) }

func (i *Informer[T]) backoff(failures int) time.Duration {
	bound := i.config.BackoffMax
	if shift := failures - 1; shift < 20 {
		bound = min(bound, i.config.BackoffMin<<shift)
	}
	return bound/10 + time.Duration(i.random.Int64N(int64(bound-bound/10)+1))
}

// patience is wait, or what the source asks for where that is longer.
func (i *Informer[T]) patience(err error, wait time.Duration) time.Duration {
	var patient Patient
	if errors.As(err, &patient) {
		wait = max(wait, min(patient.RetryAfter(), i.config.BackoffMax))
	}
	return wait
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
