package informer

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
type Event[T any] struct {
	Type EventType
	// Object is as it is now; of a deletion, as it was last.
	Object *Object[T]
	// Old is what the handler was told last; nil of Added. In a periodic
	// resync it is Object itself.
	Old *Object[T]
	// Missed tells of a deletion that it was not watched: a list no longer
	// has the object, which may have changed before it went.
	Missed bool
}

// coalesce keeps one event for each object, in the order of the last ones:
// from what was told before all of events, to what is after them. An object
// that came and went is left out. events is changed.
func coalesce[T any](events []Event[T]) []Event[T] {
	type span struct{ first, last int }
	spans := make(map[key]span, len(events))
	for n, e := range events {
		id := key{e.Object.Namespace, e.Object.Name}
		s, found := spans[id]
		if !found {
			s.first = n
		}
		s.last = n
		spans[id] = s
	}
	firsts := make([]*Object[T], len(events)) // what was told before, by the last event
	for _, s := range spans {
		firsts[s.last] = events[s.first].Old
	}
	kept := events[:0]
	for n, e := range events {
		s := spans[key{e.Object.Namespace, e.Object.Name}]
		if n != s.last || firsts[n] == nil && e.Type == Deleted {
			continue
		}
		e.Old = firsts[n]
		switch {
		case e.Old == nil:
			e.Type = Added
		case e.Type == Added:
			e.Type = Updated
		}
		kept = append(kept, e)
	}
	clear(events[len(kept):])
	return kept
}
