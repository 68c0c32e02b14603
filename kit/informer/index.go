package informer

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Index finds objects by values that a function reads from them. All methods
// are safe for concurrent use.
type Index[T any] struct {
	name string
	of   func(*Object[T]) []string
	mu   *sync.RWMutex // the store's

	objects map[string]map[key]*Object[T]
}

// AddIndex adds an index under a name of its own. of returns the values by
// which an object is found, each once; it must give the same ones whenever it
// is asked, and not call the informer.
func (i *Informer[T]) AddIndex(name string, of func(*Object[T]) []string) (*Index[T], error) {
	s := &i.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.indexes {
		if other.name == name {
			return nil, fmt.Errorf("informer of %s: there is an index %q already", i.kind, name)
		}
	}
	x := &Index[T]{name: name, of: of, mu: s.mu, objects: make(map[string]map[key]*Object[T])}
	for id, object := range s.objects {
		x.move(id, nil, object)
	}
	s.indexes = append(s.indexes, x)
	return x, nil
}

// Index returns the index of a name.
func (i *Informer[T]) Index(name string) (*Index[T], bool) {
	i.store.mu.RLock()
	defer i.store.mu.RUnlock()
	for _, x := range i.store.indexes {
		if x.name == name {
			return x, true
		}
	}
	return nil, false
}

// Lookup returns the objects with a value, ordered by namespace and name.
func (x *Index[T]) Lookup(value string) []*Object[T] {
	x.mu.RLock()
	found := slices.Collect(maps.Values(x.objects[value]))
	x.mu.RUnlock()
	slices.SortFunc(found, compareObjects)
	return found
}

// Values returns the values that some object has, in order.
func (x *Index[T]) Values() []string {
	x.mu.RLock()
	values := slices.Collect(maps.Keys(x.objects))
	x.mu.RUnlock()
	slices.Sort(values)
	return values
}

// move takes an object from where its old state is to where its new one
// belongs; either may be nil.
func (x *Index[T]) move(id key, old, object *Object[T]) {
	var before, after []string
	if old != nil {
		before = x.of(old)
	}
	if object != nil {
		after = x.of(object)
	}
	for _, value := range before {
		if slices.Contains(after, value) {
			continue
		}
		if delete(x.objects[value], id); len(x.objects[value]) == 0 {
			delete(x.objects, value)
		}
	}
	for _, value := range after {
		held := x.objects[value]
		if held == nil {
			held = make(map[key]*Object[T])
			x.objects[value] = held
		}
		held[id] = object
	}
}
