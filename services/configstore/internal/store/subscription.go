package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// bookmarkTick is how often it is seen whether a subscriber heard anything: it
// goes without for no longer than two, 10 s.
const bookmarkTick = 5 * time.Second

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

// Subscription follows a topic. It is used by one goroutine, which sleeps on a
// channel of its own and on nothing else. With thousands of them, what telling
// one of a change costs is the memory that it touches: the fields up to told
// are one cache line.
type Subscription struct {
	wake    chan struct{} // holds one token while there may be something
	journal *journal
	hub     *Hub
	cursor  int64
	viewer  *configstorev1.Subscriber // nil: without canaries
	ended   atomic.Pointer[error]     // why there is nothing more
	// list gives everything, for who wants the latest only; nil: every change.
	list     func() ([]*configstorev1.Object, int64, error)
	canaries bool        // tells of canaries themselves
	selects  bool        // some of the objects: namespace
	due      atomic.Bool // a bookmark
	told     atomic.Bool // something, since the last tick

	namespace string
	topic     topic
	tick      *time.Timer
	detach    func() bool // from the context
	gone      atomic.Bool
	place     int // among the journal's subscribers; guarded by hub.mu
}

// subscribe follows a topic until ctx ends or the subscription is closed.
func (h *Hub) subscribe(ctx context.Context, t topic, namespace string, from int64) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, engine.ErrClosed
	}
	j := h.journal(t)
	if from < j.floor {
		return nil, fmt.Errorf("revision %d of at least %d: %w", from, j.floor, ErrCompacted)
	}
	h.subscribers++
	s := &Subscription{hub: h, journal: j, topic: t, namespace: namespace, selects: namespace != "", cursor: from, wake: make(chan struct{}, 1)}
	s.tick = time.AfterFunc(time.Hour, s.idle)
	s.tick.Reset(bookmarkTick) // now that idle finds s.tick
	s.detach = context.AfterFunc(ctx, func() {
		err := context.Cause(ctx)
		s.ended.Store(&err)
		s.signal()
	})
	j.enter(s)
	return s, nil
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// idle makes a bookmark due where nothing was told since it ran last.
func (s *Subscription) idle() {
	if !s.told.Swap(false) {
		s.due.Store(true)
		s.signal()
	}
	s.tick.Reset(bookmarkTick)
	if s.gone.Load() { // since this began
		s.tick.Stop()
	}
}

// Next waits for changes, or for a bookmark every 10 s. It returns
// ErrCompacted when the subscriber was too slow and must list again; one that
// wants the latest only is given everything instead. Once the context of
// Subscribe has ended it returns its cause.
func (s *Subscription) Next() (Batch, error) {
	if s.list == nil {
		return s.next()
	}
	batch, err := s.next()
	if errors.Is(err, ErrCompacted) {
		return s.everything()
	}
	batch.Events = newest(batch.Events)
	return batch, err
}

// everything lists anew and goes on from there.
func (s *Subscription) everything() (Batch, error) {
	objects, revision, err := s.list()
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

func (s *Subscription) next() (Batch, error) {
	for {
		seen := s.journal.seen.Load()
		if events, found := s.quick(seen); found {
			return Batch{Events: events, Revision: s.cursor}, nil
		}
		if ended := s.ended.Load(); ended != nil {
			return Batch{}, *ended
		}
		if due := s.due.Load(); due || s.cursor < max(seen.newest, seen.floor) || seen.err != nil {
			batch, err := s.poll()
			if err != nil || len(batch.Events) > 0 || len(batch.Canaries) > 0 || due {
				s.told.Store(true)
				s.due.Store(false)
				return batch, err
			}
		}
		<-s.wake
	}
}

// quick takes the newest revision where that is all, and everybody gets the same
// of it: so it is for nearly all of a crowd.
func (s *Subscription) quick(seen *view) ([]*configstorev1.Event, bool) {
	if s.cursor >= seen.newest || s.cursor < seen.before || s.selects || s.canaries || s.ended.Load() != nil ||
		seen.tried && (s.viewer != nil || len(seen.events) == 0) {
		return nil, false
	}
	s.cursor = seen.newest
	if !s.told.Load() {
		s.told.Store(true)
	}
	return seen.events, true
}

// poll takes what is there now. The hub's revision is read first: the journal
// that is read after it has all of it.
func (s *Subscription) poll() (Batch, error) {
	published := s.hub.revision.Load()
	seen := s.journal.seen.Load()
	switch {
	case seen.err != nil:
		return Batch{}, seen.err
	case s.cursor < seen.floor:
		return Batch{}, fmt.Errorf("too slow, %d is behind %d: %w", s.cursor, seen.floor, ErrCompacted)
	}
	most := maxBatchEvents
	if s.list != nil {
		most = maxJournalEvents // of which few are left
	}
	events, reached, rest := seen.after(s.cursor, s.namespace, most, s.viewer)
	if !rest {
		reached = max(reached, published)
	}
	batch := Batch{Events: events, Revision: reached}
	if s.canaries {
		batch.Canaries = seen.triedAfter(s.cursor, reached)
	}
	s.cursor = reached
	return batch, nil
}

// Close ends the subscription. Closing twice is harmless.
func (s *Subscription) Close() {
	if s.gone.Swap(true) {
		return
	}
	s.tick.Stop()
	s.detach()
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.subscribers--
	s.journal.leave(s)
}
