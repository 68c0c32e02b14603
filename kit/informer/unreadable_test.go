package informer_test

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/informer"
)

// sick lists two objects, of which it cannot read the first from the second
// list on, and one that it never could.
type sick struct {
	lists atomic.Int64
	again chan struct{} // closed when the second list is taken
	once  sync.Once
}

func (s *sick) List(_ context.Context, _, _ string, deliver func([]informer.Item) error) (int64, error) {
	n := s.lists.Add(1)
	items := []informer.Item{
		{Name: "a", Spec: []byte("\n\x05first"), Revision: 1},
		{Name: "b", Spec: []byte("\n\x05other"), Revision: n},
		{Name: "c", Revision: 1, Unreadable: true},
	}
	if n > 1 {
		items[0] = informer.Item{Name: "a", Revision: 7, Unreadable: true}
	}
	return n, deliver(items)
}

func (s *sick) Watch(ctx context.Context, _, _ string, _ int64, _ func(informer.Batch) error) error {
	if s.lists.Load() < 2 {
		return informer.ErrCompacted
	}
	s.once.Do(func() { close(s.again) })
	<-ctx.Done()
	return ctx.Err()
}

func TestWhatCannotBeReadStaysAsItWas(t *testing.T) {
	source := &sick{again: make(chan struct{})}
	words, _ := start(t, source, informer.Config{BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
	select {
	case <-source.again:
	case <-time.After(10 * time.Second):
		t.Fatal("it is not listed again")
	}
	revisions := make(map[string]int64)
	for _, o := range words.List() {
		revisions[o.Name] = o.Revision
	}
	if want := map[string]int64{"a": 1, "b": 2}; !maps.Equal(revisions, want) {
		t.Errorf("%v, want %v: the first as it was, and nothing of what nobody could read", revisions, want)
	}
}
