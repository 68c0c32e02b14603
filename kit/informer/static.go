package informer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// Static is a Source in memory, for tests and for configuration that is fixed
// at start. It keeps every change, so that watches may resume anywhere after
// the last Compact.
type Static struct {
	mu        sync.Mutex
	revision  int64
	compacted int64
	log       []staticChange
	changed   chan struct{} // closed at the next change
}

type staticChange struct {
	kind string
	Change
}

// NewStatic returns an empty source at revision 1.
func NewStatic() *Static { return &Static{revision: 1, changed: make(chan struct{})} }

// Put stores an object in a revision of its own, which it returns. An empty
// namespace means "default". It panics on a spec that cannot be marshalled.
func (s *Static) Put(kind, namespace, name string, spec proto.Message) int64 {
	raw, err := proto.Marshal(spec)
	if err != nil {
		panic(fmt.Errorf("informer: static %s %s: %w", kind, name, err))
	}
	return s.record(kind, Change{Item: Item{Namespace: namespace, Name: name, Spec: raw}})
}

// Delete removes an object and returns the revision.
func (s *Static) Delete(kind, namespace, name string) int64 {
	return s.record(kind, Change{Item: Item{Namespace: namespace, Name: name}, Deleted: true})
}

// Compact forgets the changes so far: watches from an earlier revision break.
func (s *Static) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = s.revision
}

func (s *Static) record(kind string, change Change) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	change.Namespace = keyOf(change.Namespace, change.Name).namespace
	change.Revision = s.revision
	s.log = append(s.log, staticChange{kind, change})
	close(s.changed)
	s.changed = make(chan struct{})
	return s.revision
}

// List implements Source.
func (s *Static) List(_ context.Context, kind, namespace string, deliver func([]Item) error) (int64, error) {
	items, revision := s.latest(kind, namespace)
	return revision, deliver(items)
}

func (s *Static) latest(kind, namespace string) ([]Item, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := make(map[key]Item)
	for _, c := range s.log {
		switch id := keyOf(c.Namespace, c.Name); {
		case !c.matches(kind, namespace):
		case c.Deleted:
			delete(latest, id)
		default:
			latest[id] = c.Item
		}
	}
	items := make([]Item, 0, len(latest))
	for _, item := range latest {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Revision, b.Revision) })
	return items, s.revision
}

// Watch implements Source.
func (s *Static) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error {
	for {
		batch, changed, err := s.after(kind, namespace, from)
		if err != nil {
			return err
		}
		if batch.Revision > from {
			if err := deliver(batch); err != nil {
				return err
			}
			from = batch.Revision
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			if err := deliver(Batch{Revision: from}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Static) after(kind, namespace string, from int64) (Batch, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from < s.compacted {
		return Batch{}, nil, ErrCompacted
	}
	batch := Batch{Revision: s.revision}
	for _, c := range s.log {
		if c.Revision > from && c.matches(kind, namespace) {
			batch.Changes = append(batch.Changes, c.Change)
		}
	}
	return batch, s.changed, nil
}

func (c *staticChange) matches(kind, namespace string) bool {
	return c.kind == kind && (namespace == "" || c.Namespace == namespace)
}
