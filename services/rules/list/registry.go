package list

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Ref is a named list whose contents can be swapped.
type Ref struct{ current atomic.Pointer[List] }

// Get returns the contents as they are now.
func (r *Ref) Get() *List { return r.current.Load() }

// NewRef returns a reference to a list that stays as it is.
func NewRef(l *List) *Ref {
	ref := &Ref{}
	ref.current.Store(l)
	return ref
}

// Registry holds lists by name. Its zero value is empty and ready for use.
type Registry struct {
	mu   sync.RWMutex
	refs map[string]*Ref
}

// Set gives a name its list. Programs that refer to the name see it at once.
func (r *Registry) Set(name string, l *List) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ref, ok := r.refs[name]; ok {
		ref.current.Store(l)
		return
	}
	if r.refs == nil {
		r.refs = map[string]*Ref{}
	}
	r.refs[name] = NewRef(l)
}

// Delete takes a name away. Programs compiled before keep its last contents.
func (r *Registry) Delete(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.refs, name)
}

// Ref returns the reference that a name stands for.
func (r *Registry) Ref(name string) (*Ref, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ref, ok := r.refs[name]
	return ref, ok
}

// Names returns the names in order.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.refs))
}
