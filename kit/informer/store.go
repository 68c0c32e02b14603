package informer

import (
	"cmp"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
)

// EventType tells what happened to an object.
type EventType int

// The event types.
const (
	Added EventType = iota + 1
	Updated
	Deleted
)

func (t EventType) String() string {
	switch t {
	case Added:
		return "added"
	case Updated:
		return "updated"
	case Deleted:
		return "deleted"
	}
	return "unknown"
}

// Event is one change of one object.
type Event[T proto.Message] struct {
	Type EventType
	// Object is as it is now; of a deletion, as it was last.
	Object *Object[T]
}

type key struct{ namespace, name string }

func keyOf(namespace, name string) key {
	if namespace == "" {
		namespace = "default"
	}
	return key{namespace, name}
}

// change is a put, or a deletion where object is nil.
type change[T proto.Message] struct {
	key    key
	object *Object[T]
}

// store holds the objects. One goroutine writes, any number read.
type store[T proto.Message] struct {
	// delivery is held while a batch is stored and handlers are told, so that
	// every handler sees every change once and in order.
	delivery *sync.Mutex
	handlers []func([]Event[T])

	mu      *sync.RWMutex
	objects map[key]*Object[T]
	reached int64
}

func newStore[T proto.Message]() store[T] {
	return store[T]{delivery: new(sync.Mutex), mu: new(sync.RWMutex), objects: make(map[key]*Object[T])}
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

func compareObjects[T proto.Message](a, b *Object[T]) int {
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

func (s *store[T]) addHandler(handler func([]Event[T])) {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.handlers = append(s.handlers, handler)
	present := s.list()
	if len(present) == 0 {
		return
	}
	events := make([]Event[T], len(present))
	for n, object := range present {
		events[n] = Event[T]{Type: Added, Object: object}
	}
	handler(events)
}

// replace takes objects over as the whole state and delivers the differences.
func (s *store[T]) replace(objects map[key]*Object[T], revision int64) []Event[T] {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.mu.Lock()
	var events []Event[T]
	for id, object := range objects {
		old, found := s.objects[id]
		switch {
		case !found:
			events = append(events, Event[T]{Added, object})
		case old.Revision != object.Revision:
			events = append(events, Event[T]{Updated, object})
		default:
			objects[id] = old
		}
	}
	for id, old := range s.objects {
		if _, found := objects[id]; !found {
			events = append(events, Event[T]{Deleted, old})
		}
	}
	s.objects, s.reached = objects, revision
	s.mu.Unlock()
	slices.SortFunc(events, func(a, b Event[T]) int { return compareObjects(a.Object, b.Object) })
	s.deliver(events)
	return events
}

// apply stores changes up to revision and delivers them.
func (s *store[T]) apply(changes []change[T], revision int64) []Event[T] {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.mu.Lock()
	events := make([]Event[T], 0, len(changes))
	for _, c := range changes {
		old, found := s.objects[c.key]
		switch {
		case c.object == nil && found:
			delete(s.objects, c.key)
			events = append(events, Event[T]{Deleted, old})
		case c.object == nil:
		case !found:
			s.objects[c.key] = c.object
			events = append(events, Event[T]{Added, c.object})
		case old.Revision < c.object.Revision:
			s.objects[c.key] = c.object
			events = append(events, Event[T]{Updated, c.object})
		}
	}
	s.reached = max(s.reached, revision)
	s.mu.Unlock()
	s.deliver(events)
	return events
}

func (s *store[T]) deliver(events []Event[T]) {
	if len(events) == 0 {
		return
	}
	for _, handler := range s.handlers {
		handler(events)
	}
}
