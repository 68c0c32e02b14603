package informer

import (
	"cmp"
	"slices"
	"sync"
)

// Acknowledger is a Source that is told what became of what it gave. A Reporter
// makes one.
type Acknowledger interface {
	// Begin is called when an informer of a kind begins to run. It calls told
	// with the revision that it has reached, and all that it rejects, after
	// every delivery, and end when it runs no more. Neither blocks. news tells
	// that something was delivered, and not only that time went by.
	Begin(kind string) (told func(revision int64, news bool, rejected []Rejection), end func())
}

// Rejection is an object that could not be used and was left as it was.
type Rejection struct {
	Namespace, Name string
	Revision        int64
	Reason          string
}

// rejection also says who rejected: the decoder, or a handler.
type rejection struct {
	revision int64
	reason   string
	decoder  bool
}

// acks is what an informer has to say of its objects.
type acks struct {
	mu       sync.Mutex
	told     func(revision int64, news bool, rejected []Rejection) // nil: nobody asks
	rejected map[key]rejection
}

// begin lets the source know of the informer where it wants to.
func (a *acks) begin(source Source, kind string) (end func()) {
	asking, asks := source.(Acknowledger)
	if !asks {
		return func() {}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told, end = asking.Begin(kind)
	return end
}

func (a *acks) reject(id key, revision int64, err error, decoder bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rejected == nil {
		a.rejected = make(map[key]rejection)
	}
	a.rejected[id] = rejection{revision, err.Error(), decoder}
}

// relist forgets what could not be decoded: a list that holds it still is
// about to say so again.
func (a *acks) relist() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, r := range a.rejected {
		if r.decoder {
			delete(a.rejected, id)
		}
	}
}

// forget is for an object that was deleted.
func (a *acks) forget(id key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.rejected, id)
}

// accept is for an object that a handler rejected; it tells whether one had.
func (a *acks) accept(id key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, found := a.rejected[id]
	if !found || r.decoder {
		return false
	}
	delete(a.rejected, id)
	return true
}

// tell tells of the rejections that still stand. held is the revision at which
// an object is held, 0 where it is not.
func (a *acks) tell(revision int64, news bool, held func(key) int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == nil {
		return
	}
	var left []Rejection
	for id, r := range a.rejected {
		if now := held(id); now > r.revision || !r.decoder && now != r.revision {
			delete(a.rejected, id) // there is a newer one, or none
			continue
		}
		left = append(left, Rejection{id.namespace, id.name, r.revision, r.reason})
	}
	slices.SortFunc(left, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	a.told(revision, news, left)
}

// Reject says that an object, which a handler was told of, cannot be used. It
// stands until there is another revision of it. Handlers of Consume need not
// call it. It may be called from anywhere, also later.
func (i *Informer[T]) Reject(object *Object[T], err error) {
	i.acks.reject(key{object.Namespace, object.Name}, object.Revision, err, false)
	i.config.Log.Error("object is rejected",
		"namespace", object.Namespace, "name", object.Name, "revision", object.Revision, "err", err)
	i.acknowledge(true)
}

// Accept takes back what Reject said of an object, which can be used after all.
func (i *Informer[T]) Accept(object *Object[T]) {
	if i.acks.accept(key{object.Namespace, object.Name}) {
		i.acknowledge(true)
	}
}

// Consume is OnChange for a handler of single changes that may refuse them:
// its errors are reported to the source.
func (i *Informer[T]) Consume(handler func(Event[T]) error) {
	i.OnChange(func(events []Event[T]) {
		for _, event := range events {
			if err := handler(event); err != nil {
				i.Reject(event.Object, err)
			}
		}
	})
}

// acknowledge tells the source where the informer is.
func (i *Informer[T]) acknowledge(news bool) {
	i.acks.tell(i.store.revision(), news, func(id key) int64 {
		if object, found := i.store.get(id.namespace, id.name); found {
			return object.Revision
		}
		return 0
	})
}
