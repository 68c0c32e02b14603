package informer

import (
	"cmp"
	"slices"
	"sync"
)

type key struct{ namespace, name string }

func keyOf(namespace, name string) key {
	if namespace == "" {
		namespace = "default"
	}
	return key{namespace, name}
}

// change is a put, or a deletion where object is nil.
type change[T any] struct {
	key    key
	object *Object[T]
}

// store holds the objects. One goroutine writes, any number read.
type store[T any] struct {
	// delivery is held while a batch is stored and handlers are told, so that
	// every handler sees every change once and in order.
	delivery  *sync.Mutex
	handlers  []func([]Event[T])
	followers []*follower[T]
	events    []Event[T] // room for a batch, used again

	queueEvents int       // Config's
	coalesced   func(int) // counts events that followers were too slow for

	mu      *sync.RWMutex
	objects map[key]*Object[T]
	indexes []*Index[T]
	reached int64
}

func newStore[T any](queueEvents int, coalesced func(int)) store[T] {
	return store[T]{
		delivery: new(sync.Mutex), queueEvents: queueEvents, coalesced: coalesced,
		mu: new(sync.RWMutex), objects: make(map[key]*Object[T]),
	}
}

func (s *store[T]) get(namespace, name string) (*Object[T], bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	object, found := s.objects[keyOf(namespace, name)]
	return object, found
}

func (s *store[T]) list() []*Object[T] {
	s.mu.RLock()
	objects := make([]*Object[T], 0, len(s.objects))
	for _, object := range s.objects {
		objects = append(objects, object)
	}
	s.mu.RUnlock()
	slices.SortFunc(objects, compareObjects)
	return objects
}

func compareObjects[T any](a, b *Object[T]) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (s *store[T]) revision() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.reached
}

func (s *store[T]) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.objects)
}

// sizeAfter is the size that changes would lead to.
func (s *store[T]) sizeAfter(changes []change[T]) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	after := make(map[key]bool, len(changes))
	for _, c := range changes {
		after[c.key] = c.object != nil
	}
	size := len(s.objects)
	for id, there := range after {
		switch _, found := s.objects[id]; {
		case there && !found:
			size++
		case found && !there:
			size--
		}
	}
	return size
}

// present is what there is, as events.
func (s *store[T]) present() []Event[T] {
	objects := s.list()
	events := make([]Event[T], len(objects))
	for n, object := range objects {
		events[n] = Event[T]{Type: Added, Object: object}
	}
	return events
}

func (s *store[T]) addHandler(handler func([]Event[T])) {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.handlers = append(s.handlers, handler)
	if present := s.present(); len(present) > 0 {
		handler(present)
	}
}

// replace takes listed over as the whole state, delivers the differences and
// returns their number.
func (s *store[T]) replace(listed []*Object[T], revision int64) int {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	objects := make(map[key]*Object[T], len(listed))
	events := make([]Event[T], 0, len(listed))
	s.mu.Lock()
	for _, object := range listed {
		id := key{object.Namespace, object.Name}
		old, found := s.objects[id]
		switch {
		case !found:
			events = append(events, Event[T]{Type: Added, Object: object})
		case old.Revision != object.Revision:
			events = append(events, Event[T]{Type: Updated, Object: object, Old: old})
		default:
			object = old
		}
		objects[id] = object
	}
	for id, old := range s.objects {
		if _, found := objects[id]; !found {
			events = append(events, Event[T]{Type: Deleted, Object: old, Old: old, Missed: true})
		}
	}
	s.index(events)
	s.objects, s.reached = objects, revision
	s.mu.Unlock()
	slices.SortFunc(events, func(a, b Event[T]) int { return compareObjects(a.Object, b.Object) })
	s.deliver(events)
	return len(events)
}

// apply stores changes up to revision, delivers them and returns their number.
func (s *store[T]) apply(changes []change[T], revision int64) int {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	events := s.events[:0]
	s.mu.Lock()
	for _, c := range changes {
		old, found := s.objects[c.key]
		switch {
		case c.object == nil && found:
			delete(s.objects, c.key)
			events = append(events, Event[T]{Type: Deleted, Object: old, Old: old})
		case c.object == nil:
		case !found:
			s.objects[c.key] = c.object
			events = append(events, Event[T]{Type: Added, Object: c.object})
		case old.Revision < c.object.Revision:
			s.objects[c.key] = c.object
			events = append(events, Event[T]{Type: Updated, Object: c.object, Old: old})
		}
	}
	s.index(events)
	s.reached = max(s.reached, revision)
	s.mu.Unlock()
	s.deliver(events)
	clear(events)
	s.events = events[:0]
	return len(events)
}

// index moves the objects of events in all indexes. The caller holds mu.
func (s *store[T]) index(events []Event[T]) {
	for _, x := range s.indexes {
		for _, e := range events {
			id, object := key{e.Object.Namespace, e.Object.Name}, e.Object
			if e.Type == Deleted {
				object = nil
			}
			x.move(id, e.Old, object)
		}
	}
}

// resync tells all handlers of all objects anew and returns their number.
func (s *store[T]) resync() int {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	events := s.present()
	for n := range events {
		events[n].Type, events[n].Old = Updated, events[n].Object
	}
	s.deliver(events)
	return len(events)
}

// deliver tells handlers and followers. The caller holds delivery.
func (s *store[T]) deliver(events []Event[T]) {
	if len(events) == 0 {
		return
	}
	for _, handler := range s.handlers {
		handler(events)
	}
	for _, f := range s.followers {
		// A list of all objects is no sign of being slow.
		if dropped := f.push(events, s.queueEvents+len(s.objects)); dropped > 0 {
			s.coalesced(dropped)
		}
	}
}
