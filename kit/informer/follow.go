package informer

import (
	"context"
	"sync"
)

// follower is a handler with a goroutine and a queue of its own.
type follower[T any] struct {
	wake chan struct{} // holds one token while there is something to tell

	mu    sync.Mutex
	queue []Event[T]
	// full is the length at which the queue is coalesced next.
	full int
}

// push queues events and returns how many were coalesced away. The queue
// never grows beyond twice what one event for each object takes, or limit.
func (f *follower[T]) push(events []Event[T], limit int) (dropped int) {
	f.mu.Lock()
	f.queue = append(f.queue, events...)
	if before := len(f.queue); before > max(limit, f.full) {
		f.queue = coalesce(f.queue)
		f.full = 2 * len(f.queue)
		dropped = before - len(f.queue)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return dropped
}

// take returns the queue and leaves spare in its place.
func (f *follower[T]) take(spare []Event[T]) []Event[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.queue
	f.queue, f.full = spare[:0], 0
	return queue
}

// maxSpare is how many events a follower keeps room for between batches.
const maxSpare = 4096

// Follow tells handler of the objects that are there as one batch of Added,
// and then of changes in order, until ctx ends; then it returns nil. It runs
// handler in the caller's goroutine, so that a slow one holds nobody up:
// whoever falls behind by more than Config.QueueEvents is told, for each
// object that changed, of its newest state only. events belongs to the
// informer again once handler returns.
func (i *Informer[T]) Follow(ctx context.Context, handler func(events []Event[T])) error {
	f := &follower[T]{wake: make(chan struct{}, 1)}
	i.store.addFollower(f)
	defer i.store.removeFollower(f)
	var spare []Event[T]
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil
		}
		events := f.take(spare)
		if len(events) > 0 {
			handler(events)
		}
		if clear(events); cap(events) > maxSpare {
			events = nil
		}
		spare = events
	}
}

func (s *store[T]) addFollower(f *follower[T]) {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.followers = append(s.followers, f)
	if present := s.present(); len(present) > 0 {
		f.push(present, len(present))
	}
}

func (s *store[T]) removeFollower(f *follower[T]) {
	s.delivery.Lock()
	defer s.delivery.Unlock()
	for n, other := range s.followers {
		if other == f {
			s.followers = append(s.followers[:n:n], s.followers[n+1:]...)
			return
		}
	}
}
