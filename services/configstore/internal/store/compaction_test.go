package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/kit/informer"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

const keptRevisions = 10

// openKeeping runs a store that keeps little history.
func openKeeping(t *testing.T, dir string) (s *store.Store, stop func()) {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: dir, NoSync: true, HistoryRevisions: keptRevisions})
	if err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), e, store.Config{})
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	return s, func() { s.Close(); e.Close() }
}

// local is an informer's source that asks a store without a network, and counts
// how often it was told that changes are gone.
type local struct {
	mu        sync.Mutex
	store     *store.Store // nil while it is down
	lists     int
	compacted int
}

var errDown = errors.New("store is down")

func (l *local) use(s *store.Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store = s
}

func (l *local) now() (*store.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil, errDown
	}
	return l.store, nil
}

// List implements informer.Source.
func (l *local) List(ctx context.Context, kind, namespace string, deliver func([]informer.Item) error) (int64, error) {
	s, err := l.now()
	if err != nil {
		return 0, err
	}
	objects, revision, err := s.List(ctx, tenant, kind, namespace)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.lists++
	l.mu.Unlock()
	items := make([]informer.Item, 0, len(objects))
	for _, o := range objects {
		items = append(items, informer.Item{Name: o.GetKey().GetName(), Spec: o.GetSpec().GetValue(), Revision: o.GetRevision()})
	}
	return revision, deliver(items)
}

// Watch implements informer.Source.
func (l *local) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(informer.Batch) error) error {
	s, err := l.now()
	if err != nil {
		return err
	}
	sub, err := s.Subscribe(ctx, tenant, kind, namespace, from)
	if errors.Is(err, store.ErrCompacted) {
		l.mu.Lock()
		l.compacted++
		l.mu.Unlock()
		return fmt.Errorf("%w: %w", informer.ErrCompacted, err)
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		batch, err := sub.Next()
		if err != nil {
			return err
		}
		told := informer.Batch{Revision: batch.Revision}
		for _, event := range batch.Events {
			o := event.GetObject()
			told.Changes = append(told.Changes, informer.Change{
				Item: informer.Item{Name: o.GetKey().GetName(), Spec: o.GetSpec().GetValue(), Revision: o.GetRevision()},
			})
		}
		if err := deliver(told); err != nil {
			return err
		}
	}
}

// TestHistoryIsCompactedOnScheduleAndInformersListAnew has etcd's own schedule of
// every five minutes pass in the time of synctest, with an informer that was
// away for longer than the history is kept.
func TestHistoryIsCompactedOnScheduleAndInformersListAnew(t *testing.T) {
	const schedule = 5 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "etcd")
		s, stop := openKeeping(t, dir)
		first := apply(t, s, put(t, "Cluster", "a", cluster("v0")))
		source := &local{store: s}
		follows := informer.New[*gatewayv1.Cluster](source, "Cluster", informer.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = follows.Run(ctx) })
		if err := follows.WaitSynced(ctx); err != nil {
			t.Fatal(err)
		}
		source.use(nil)
		stop()
		synctest.Wait()

		s, stop = openKeeping(t, dir)
		var last int64
		for n := range 3 * keptRevisions {
			last = apply(t, s, put(t, "Cluster", "a", cluster(fmt.Sprint("v", n+1)))).Release.GetRevision()
		}
		at := func(revision int64) error {
			_, err := s.GetAt(t.Context(), keyOf("Cluster", "a"), revision)
			return err
		}
		if err := at(first.Release.GetRevision()); err != nil {
			t.Errorf("before the schedule: %v", err)
		}
		time.Sleep(schedule + time.Second)
		if err := at(first.Release.GetRevision()); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("after it, the first revision: %v", err)
		}
		for _, kept := range []int64{last - keptRevisions + 1, last} {
			if err := at(kept); err != nil {
				t.Errorf("revision %d of %d: %v", kept, last, err)
			}
		}
		stop()

		s, stop = openKeeping(t, dir) // it remembers no changes, and has what etcd has
		defer stop()
		if _, err := s.Subscribe(t.Context(), tenant, "Cluster", "", first.Release.GetRevision()); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("subscribed from the first revision: %v", err)
		}
		source.use(s)
		time.Sleep(time.Minute)
		cancel()
		running.Wait()
		got, _ := follows.Get("", "a")
		if want := fmt.Sprint("v", 3*keptRevisions); got.GetService() != want || source.compacted != 1 || source.lists != 2 {
			t.Errorf("the informer has %v, want %s; it was told of compaction %d times, and has listed %d times", got, want, source.compacted, source.lists)
		}
	})
}
