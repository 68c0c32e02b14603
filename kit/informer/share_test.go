package informer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// counted is a Static that counts its watches and can be cut.
type counted struct {
	*Static

	mu     sync.Mutex
	open   int
	opened int
	cut    context.CancelFunc
}

func (c *counted) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.open, c.opened, c.cut = c.open+1, c.opened+1, cancel
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.open--; c.mu.Unlock() }()
	if err := deliver(Batch{Revision: from}); err != nil {
		return err
	}
	return c.Static.Watch(ctx, kind, namespace, from, func(batch Batch) error {
		err := deliver(batch)
		for n := range batch.Changes { // it belongs to the source again
			batch.Changes[n].Spec = []byte("overwritten")
		}
		return err
	})
}

func (c *counted) counts() (open, opened int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.opened
}

func (c *counted) put(name string, version int) int64 {
	return c.Put("Word", "", name, wrapperspb.Int64(int64(version)))
}

// seen gathers what a watcher is given.
type seen struct {
	mu    sync.Mutex
	names []string
	at    int64
	ended error
}

func (s *seen) follow(ctx context.Context, source Source, from int64) {
	err := source.Watch(ctx, "Word", "", from, func(batch Batch) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range batch.Changes {
			if string(c.Spec) == "overwritten" {
				s.names = append(s.names, "overwritten")
				continue
			}
			s.names = append(s.names, fmt.Sprintf("%s@%d", c.Name, c.Revision))
		}
		s.at = batch.Revision
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
}

func (s *seen) told() ([]string, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names), s.at
}

func TestSharedWatchIsOneForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{Static: NewStatic()}
		shared := Share(source)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		all := make([]seen, 10)
		for n := range all {
			running.Go(func() { all[n].follow(ctx, shared, 1) })
		}
		synctest.Wait()
		source.put("a", 1)
		synctest.Wait()
		source.put("b", 1)
		synctest.Wait()
		var late, ahead seen
		running.Go(func() { late.follow(ctx, shared, 2) })  // lacks b
		running.Go(func() { ahead.follow(ctx, shared, 3) }) // lacks nothing
		synctest.Wait()
		if names, at := ahead.told(); len(names) != 0 || at != 3 {
			t.Errorf("who lacks nothing was told %v at %d, want that the watch stands", names, at)
		}
		source.put("c", 1)
		synctest.Wait()
		for n := range all {
			if names, at := all[n].told(); !slices.Equal(names, []string{"a@2", "b@3", "c@4"}) || at != 4 {
				t.Errorf("watcher %d was told %v at %d", n, names, at)
			}
		}
		if names, _ := late.told(); !slices.Equal(names, []string{"b@3", "c@4"}) {
			t.Errorf("the late one was told %v", names)
		}
		if open, opened := source.counts(); open != 1 || opened != 1 {
			t.Errorf("%d watches of the source, %d ever", open, opened)
		}
		cancel()
		running.Wait()
		if open, _ := source.counts(); open != 0 {
			t.Errorf("%d watches of the source when nobody is left", open)
		}
	})
}

func TestSharedWatchResumesForAllAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{Static: NewStatic()}
		shared := Share(source)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		informers := make([]*Informer[*wrapperspb.Int64Value], 5)
		for n := range informers {
			informers[n] = New[*wrapperspb.Int64Value](shared, "Word", Config{Seed: uint64(n)})
			running.Go(func() { _ = informers[n].Run(ctx) })
		}
		for round := range 20 {
			source.put(fmt.Sprint("w", round%3), round)
			synctest.Wait()
			if round%4 == 1 {
				source.mu.Lock()
				source.cut()
				source.mu.Unlock()
				source.put("w3", round)
			}
		}
		reached := source.put("last", 0)
		for _, i := range informers { // however long each waits before it resumes
			for i.Revision() < reached {
				pause(ctx, i.config.BackoffMin)
			}
		}
		synctest.Wait()
		want := source.put("last", 9)
		synctest.Wait()
		for n, i := range informers {
			if last, _ := i.Get("", "last"); last.GetValue() != 9 || len(i.List()) != 5 {
				t.Errorf("informer %d holds %d objects at %d of %d", n, len(i.List()), i.Revision(), want)
			}
		}
		if open, _ := source.counts(); open != 1 {
			t.Errorf("%d watches of the source", open)
		}
		cancel()
		running.Wait()
	})
}

func TestSlowSharedWatcherIsEndedAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{Static: NewStatic()}
		shared := Share(source)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var quick seen
		running.Go(func() { quick.follow(ctx, shared, 1) })
		held, release := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 1)
		given := 0
		running.Go(func() {
			ended <- shared.Watch(ctx, "Word", "", 1, func(batch Batch) error {
				if given += len(batch.Changes); given == 1 {
					close(held)
					<-release
				}
				return nil
			})
		})
		synctest.Wait()
		source.put("w", 0)
		<-held
		for n := range 2 * maxSharedChanges {
			source.put("w", n)
			if n%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if names, _ := quick.told(); len(names) != 2*maxSharedChanges+1 {
			t.Errorf("the quick one was told %d changes", len(names))
		}
		close(release)
		if err := <-ended; !errors.Is(err, ErrEnded) {
			t.Errorf("the slow one ended with %v", err)
		}
		var resumed seen
		running.Go(func() { resumed.follow(ctx, shared, 2) })
		synctest.Wait()
		if names, _ := resumed.told(); len(names) != 2*maxSharedChanges {
			t.Errorf("who resumed was told %d changes", len(names))
		}
		cancel()
		running.Wait()
	})
}

func TestCompactedSharedWatchSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{Static: NewStatic()}
		source.put("a", 1)
		source.Compact()
		shared := Share(source)
		var s seen
		s.follow(t.Context(), shared, 1)
		if !errors.Is(s.ended, ErrCompacted) {
			t.Errorf("ended with %v", s.ended)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.follow(ctx, shared, 2) })
		synctest.Wait()
		source.put("b", 1)
		synctest.Wait()
		if names, _ := s.told(); !slices.Equal(names, []string{"b@3"}) {
			t.Errorf("told %v after a new list", names)
		}
		cancel()
		running.Wait()
	})
}
