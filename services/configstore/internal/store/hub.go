package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

const (
	// warmRevisions are read back at start, so that subscribers of the process
	// before resume without listing.
	warmRevisions = 1000
	// bookmarkEvery is how long a subscriber goes without hearing anything.
	bookmarkEvery = 10 * time.Second
	// reopenAfter is the wait before a watch that ended is opened anew.
	reopenAfter = 100 * time.Millisecond
)

// Hub follows the engine by one watch and keeps the newest changes by topic.
type Hub struct {
	engine *engine.Engine
	log    *slog.Logger
	decode func(*mvccpb.KeyValue) (*configstorev1.Object, error)
	other  func(*mvccpb.Event) // told of what is no object

	mu          sync.RWMutex
	journals    map[topic]*journal
	floor       int64 // of journals that are not there yet
	revision    int64 // all up to it is in the journals
	advanced    chan struct{}
	closed      bool
	subscribers int
}

func newHub(
	e *engine.Engine, log *slog.Logger, decode func(*mvccpb.KeyValue) (*configstorev1.Object, error), other func(*mvccpb.Event),
) *Hub {
	start := max(1, e.Revision()-warmRevisions)
	return &Hub{
		engine: e, log: log, decode: decode, other: other,
		journals: make(map[topic]*journal), floor: start, revision: start, advanced: make(chan struct{}),
	}
}

// Revision is what the hub has reached.
func (h *Hub) Revision() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.revision
}

// run follows the engine until ctx ends, and ends all subscriptions then.
func (h *Hub) run(ctx context.Context) {
	defer h.close()
	for ctx.Err() == nil {
		err := h.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		h.log.Warn("watch of the store is opened anew", "err", err)
		select {
		case <-time.After(reopenAfter):
		case <-ctx.Done():
		}
	}
}

func (h *Hub) follow(ctx context.Context) error {
	stream, err := h.engine.Watch(ctx, root, h.Revision()+1)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		select {
		case response, open := <-stream.Chan():
			if !open {
				return engine.ErrClosed
			}
			if response.CompactRevision != 0 {
				h.reset(response.CompactRevision)
				return fmt.Errorf("compacted up to %d", response.CompactRevision)
			}
			h.take(response.Events)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset forgets everything up to a revision that was compacted away unseen.
func (h *Hub) reset(revision int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range h.journals {
		close(j.changed)
	}
	h.journals = make(map[topic]*journal)
	h.floor, h.revision = revision, max(h.revision, revision)
	close(h.advanced)
	h.advanced = make(chan struct{})
}

// take adds events, which are of whole revisions, to the journals.
func (h *Hub) take(events []*mvccpb.Event) {
	for len(events) > 0 {
		revision := events[0].GetKv().GetModRevision()
		size := 1
		for size < len(events) && events[size].GetKv().GetModRevision() == revision {
			size++
		}
		now := events[:size]
		byTopic := h.sort(now)
		events = events[size:]

		h.mu.Lock()
		for topic, events := range byTopic {
			j := h.journals[topic]
			if j == nil {
				j = newJournal(h.floor)
				h.journals[topic] = j
			}
			j.append(revision, events)
		}
		h.tryOut(now)
		h.revision = revision
		close(h.advanced)
		h.advanced = make(chan struct{})
		h.mu.Unlock()
	}
}

// sort decodes the events of one revision, by the topics that they belong to.
// Deletions carry no value; their release is that of a record written with them.
func (h *Hub) sort(events []*mvccpb.Event) map[topic][]*configstorev1.Event {
	sorted := make(map[topic][]*configstorev1.Event)
	deleted := make(map[object.Key]*configstorev1.Object)
	for _, raw := range events {
		key, err := object.ParsePath(string(raw.GetKv().GetKey()))
		if err != nil {
			h.other(raw)
			continue
		}
		event := &configstorev1.Event{Type: configstorev1.Event_TYPE_DELETE}
		if raw.GetType() == mvccpb.Event_PUT {
			event.Type = configstorev1.Event_TYPE_PUT
			if event.Object, err = h.decode(raw.GetKv()); err != nil {
				h.log.Error("stored object cannot be decoded and is passed over", "err", err)
				continue
			}
		} else {
			event.Object = &configstorev1.Object{Key: protoKey(key), Revision: raw.GetKv().GetModRevision()}
			deleted[key] = event.Object
		}
		for _, t := range []topic{{key.Tenant, key.Kind}, {key.Tenant, ""}} {
			sorted[t] = append(sorted[t], event)
		}
	}
	if len(deleted) > 0 {
		h.attribute(deleted, events)
	}
	return sorted
}

// attribute tells of deleted objects which release they went with. Only one of
// a revision touches each.
func (h *Hub) attribute(deleted map[object.Key]*configstorev1.Object, events []*mvccpb.Event) {
	for _, raw := range events {
		tenant, void, found := parseRecordPath(string(raw.GetKv().GetKey()))
		if !found || void != "" || raw.GetType() != mvccpb.Event_PUT {
			continue
		}
		releases, err := parseRecord(raw.GetKv().GetValue())
		if err != nil {
			h.log.Error("stored record of releases cannot be decoded", "err", err)
			continue
		}
		for _, release := range releases {
			for _, key := range release.GetKeys() {
				if o := deleted[keyOf(tenant, key)]; o != nil {
					o.ReleaseId = release.GetId()
				}
			}
		}
	}
}

// waitRevision waits until the hub has reached a revision.
func (h *Hub) waitRevision(ctx context.Context, revision int64) error {
	for {
		h.mu.RLock()
		reached, advanced, closed := h.revision, h.advanced, h.closed
		h.mu.RUnlock()
		if reached >= revision {
			return nil
		}
		if closed {
			return engine.ErrClosed
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, j := range h.journals {
		close(j.changed)
	}
	h.journals = make(map[topic]*journal)
	close(h.advanced)
}

func (h *Hub) countSubscribers() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.subscribers
}

func (h *Hub) subscribe(t topic, namespace string, from int64) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.journals[t]
	if j == nil {
		j = newJournal(h.floor)
		h.journals[t] = j
	}
	if from < j.floor {
		return nil, fmt.Errorf("revision %d of at least %d: %w", from, j.floor, ErrCompacted)
	}
	h.subscribers++
	return &Subscription{hub: h, topic: t, namespace: namespace, cursor: from}, nil
}

// Batch holds the events of whole revisions. One without events says only that
// all up to Revision was given.
type Batch struct {
	Events   []*configstorev1.Event // shared: do not change
	Revision int64
	// Canaries are what canaries became, in order. Only WithCanaries.
	Canaries []*configstorev1.Canary
	// Reset tells that Events are all objects that there are. Only with latest.
	Reset bool
}

// Subscription follows a topic. It is used by one goroutine.
type Subscription struct {
	hub       *Hub
	topic     topic
	namespace string
	viewer    *configstorev1.Subscriber // nil: without canaries
	canaries  bool                      // tells of canaries themselves
	cursor    int64
	ended     sync.Once
	// list gives everything, for who wants the latest only; nil: every change.
	list func(ctx context.Context) ([]*configstorev1.Object, int64, error)
}

// Next waits for changes, or for a bookmark every 10 s. It returns
// ErrCompacted when the subscriber was too slow and must list again; one that
// wants the latest only is given everything instead.
func (s *Subscription) Next(ctx context.Context) (Batch, error) {
	if s.list == nil {
		return s.next(ctx)
	}
	batch, err := s.next(ctx)
	if errors.Is(err, ErrCompacted) {
		return s.everything(ctx)
	}
	batch.Events = newest(batch.Events)
	return batch, err
}

// everything lists anew and goes on from there.
func (s *Subscription) everything(ctx context.Context) (Batch, error) {
	objects, revision, err := s.list(ctx)
	if err != nil {
		return Batch{}, err
	}
	batch := Batch{Revision: revision, Reset: true, Events: make([]*configstorev1.Event, len(objects))}
	for n, o := range objects {
		batch.Events[n] = &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o}
	}
	s.cursor = revision
	return batch, nil
}

// newest leaves the last event of each object, in order.
func newest(events []*configstorev1.Event) []*configstorev1.Event {
	type name struct{ kind, namespace, name string }
	last := make(map[name]int, len(events))
	for n, event := range events {
		key := event.GetObject().GetKey()
		last[name{key.GetKind(), key.GetNamespace(), key.GetName()}] = n
	}
	if len(last) == len(events) {
		return events
	}
	left := make([]*configstorev1.Event, 0, len(last))
	for n, event := range events {
		key := event.GetObject().GetKey()
		if last[name{key.GetKind(), key.GetNamespace(), key.GetName()}] == n {
			left = append(left, event)
		}
	}
	return left
}

func (s *Subscription) next(ctx context.Context) (Batch, error) {
	bookmark := time.NewTimer(bookmarkEvery)
	defer bookmark.Stop()
	for idle := false; ; {
		batch, changed, err := s.poll()
		if err != nil || len(batch.Events) > 0 || len(batch.Canaries) > 0 || idle {
			return batch, err
		}
		select {
		case <-changed:
		case <-bookmark.C:
			idle = true
		case <-ctx.Done():
			return Batch{}, context.Cause(ctx)
		}
	}
}

// poll takes what is there now.
func (s *Subscription) poll() (Batch, <-chan struct{}, error) {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	j := s.hub.journals[s.topic]
	switch {
	case s.hub.closed:
		return Batch{}, nil, engine.ErrClosed
	case j == nil:
		return Batch{}, nil, fmt.Errorf("revision %d: %w", s.cursor, ErrCompacted)
	case s.cursor < j.floor:
		return Batch{}, nil, fmt.Errorf("too slow, %d is behind %d: %w", s.cursor, j.floor, ErrCompacted)
	}
	most := maxBatchEvents
	if s.list != nil {
		most = maxJournalEvents // of which few are left
	}
	events, reached, rest := j.after(s.cursor, s.namespace, most, s.viewer)
	if !rest {
		reached = max(reached, s.hub.revision)
	}
	batch := Batch{Events: events, Revision: reached}
	if s.canaries {
		batch.Canaries = j.triedAfter(s.cursor, reached)
	}
	s.cursor = reached
	return batch, j.changed, nil
}

// Close ends the subscription. Closing twice is harmless.
func (s *Subscription) Close() {
	s.ended.Do(func() {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		s.hub.subscribers--
	})
}
