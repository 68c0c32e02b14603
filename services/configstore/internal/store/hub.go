package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// reopenAfter is the wait before a watch that ended is opened anew.
	reopenAfter = 100 * time.Millisecond
)

// Hub follows the engine by one watch and keeps the newest changes by topic.
// It follows all keys, so that it reaches every revision, also one that somebody
// made by etcd's own port.
type Hub struct {
	engine *engine.Engine
	log    *slog.Logger
	decode func(*mvccpb.KeyValue) (*configstorev1.Object, error)
	other  func(*mvccpb.Event) // told of what is no object
	// deleted is told of objects that are no more; may be nil.
	deleted func(*mvccpb.KeyValue)
	missed  func() // told that events are gone unseen; may be nil

	mu          sync.RWMutex
	journals    map[topic]*journal
	floor       int64 // of journals that are not there yet
	advanced    chan struct{}
	closed      bool
	subscribers int

	// revision is what has been published of the journals: all up to it. It is
	// read without mu, and before the journal that is asked.
	revision atomic.Int64
}

func newHub(
	e *engine.Engine, log *slog.Logger, decode func(*mvccpb.KeyValue) (*configstorev1.Object, error), other func(*mvccpb.Event),
) *Hub {
	start := max(1, e.Revision()-warmRevisions)
	h := &Hub{
		engine: e, log: log, decode: decode, other: other,
		journals: make(map[topic]*journal), floor: start, advanced: make(chan struct{}),
	}
	h.revision.Store(start)
	return h
}

// Revision is what the hub has reached.
func (h *Hub) Revision() int64 { return h.revision.Load() }

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
	stream, err := h.engine.Watch(ctx, "", h.Revision()+1)
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
	if h.missed != nil {
		h.missed()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = revision
	h.revision.Store(max(h.revision.Load(), revision))
	close(h.advanced)
	h.advanced = make(chan struct{})
	h.endJournals(fmt.Errorf("revision %d: %w", revision, ErrCompacted))
}

// endJournals tells all subscribers why there is nothing more; h.mu is held.
func (h *Hub) endJournals(err error) {
	for _, j := range h.journals {
		j.end(err)
	}
	h.journals = make(map[topic]*journal)
}

// journal is that of a topic, new if need be; h.mu is held.
func (h *Hub) journal(t topic) *journal {
	j := h.journals[t]
	if j == nil {
		j = newJournal(h.floor)
		h.journals[t] = j
	}
	return j
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
		touched := make([]*journal, 0, len(byTopic))
		for topic, events := range byTopic {
			j := h.journal(topic)
			j.append(revision, events)
			touched = append(touched, j)
		}
		touched = h.tryOut(now, touched)
		h.publish(revision, touched)
		h.mu.Unlock()
	}
}

// publish lets subscribers see a revision as a whole, and wakes those whose
// journals it is in; h.mu is held. Who waits for the revision itself is one
// writer or reader, and comes first.
func (h *Hub) publish(revision int64, touched []*journal) {
	for _, j := range touched {
		j.publish()
	}
	h.revision.Store(revision)
	close(h.advanced)
	h.advanced = make(chan struct{})
	for _, j := range touched {
		j.wake()
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
			if event.Object.GetUnreadable() {
				continue // who has it keeps what it was
			}
		} else {
			event.Object = &configstorev1.Object{Key: protoKey(key), Revision: raw.GetKv().GetModRevision()}
			deleted[key] = event.Object
			if h.deleted != nil {
				h.deleted(raw.GetKv())
			}
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
		reached, advanced, closed := h.revision.Load(), h.advanced, h.closed
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
	close(h.advanced)
	h.endJournals(engine.ErrClosed)
}

func (h *Hub) countSubscribers() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.subscribers
}
