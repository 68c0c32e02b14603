package store

import (
	"context"
	"sync"
)

// Outcome is what has come of one of several releases.
type Outcome struct {
	Result Result
	Err    error
}

// ApplyEach makes releases, each of its own and as Apply does, for less: one
// goroutine looks at them one after the other, and those that can be written
// are queued together. One that has to wait for another, or to be looked at
// again, goes on beside. There is a context for each request.
func (s *Store) ApplyEach(contexts []context.Context, requests []Request) []Outcome {
	e := &each{store: s, contexts: contexts, requests: requests, outcomes: make([]Outcome, len(requests))}
	defer e.close()
	for n := range requests {
		e.prepare(n)
		if len(e.under)-e.queued == maxBatch {
			e.enqueue()
		}
	}
	e.enqueue()
	e.await()
	e.beside.Wait()
	if e.panicked != nil {
		panic(e.panicked) // where the caller's chain logs it
	}
	return e.outcomes
}

// each is one call of ApplyEach.
type each struct {
	store    *Store
	contexts []context.Context
	requests []Request
	outcomes []Outcome

	under  []underWay
	queued int // of under; the rest is still to be queued
	ended  int // of under

	beside   sync.WaitGroup
	mu       sync.Mutex
	panicked any
}

// underWay is a release whose keys are taken until it has ended.
type underWay struct {
	n       int
	changes []*change
	unlock  func()
	prepared
}

func (e *each) prepare(n int) {
	s, request := e.store, e.requests[n]
	changes, err := s.check(request)
	if err != nil {
		e.refuse(n, err)
		return
	}
	unlock, free := s.locks.try(paths(changes))
	if !free {
		e.apart(n, changes)
		return
	}
	kept := false
	defer func() {
		if !kept {
			unlock()
		}
	}()
	p, err := s.prepare(e.contexts[n], request, changes, firstLook(request))
	switch {
	case err != nil:
		e.refuse(n, err)
	case p.write != nil:
		kept = true
		e.under = append(e.under, underWay{n, changes, unlock, p})
	case p.done:
		e.outcomes[n].Result = p.result
	default:
		e.apart(n, changes)
	}
}

func (e *each) refuse(n int, err error) {
	e.store.metrics.releases.WithLabelValues("refused").Inc()
	e.outcomes[n].Err = err
}

// apart has a release go on as one that came alone.
func (e *each) apart(n int, changes []*change) {
	e.beside.Go(func() {
		defer func() {
			if value := recover(); value != nil {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.panicked = value
			}
		}()
		e.outcomes[n].Result, e.outcomes[n].Err = e.store.applyChecked(e.contexts[n], e.requests[n], changes)
	})
}

// enqueue gives what was prepared to the committer. What it has no room for is
// refused.
func (e *each) enqueue() {
	fresh := e.under[e.queued:]
	writes := make([]*write, len(fresh))
	for n := range fresh {
		writes[n] = fresh[n].write
	}
	taken, err := e.store.commits.enqueue(writes...)
	for _, refused := range fresh[taken:] {
		refused.unlock()
		e.refuse(refused.n, err)
	}
	e.queued += taken
	e.under = e.under[:e.queued]
}

// await waits for each release. One that was overtaken is tried again, beside.
func (e *each) await() {
	for e.ended < len(e.under) {
		u := &e.under[e.ended]
		out, err := e.store.commits.await(e.contexts[u.n], u.write)
		switch {
		case err != nil:
			e.refuse(u.n, err)
		case out.done:
			e.outcomes[u.n].Result = e.store.written(u.changes, u.result.Release, out)
		}
		u.unlock()
		e.ended++
		if err == nil && !out.done {
			e.apart(u.n, u.changes)
		}
	}
}

// close gives back what is taken still, where a panic has cut the call short.
func (e *each) close() {
	for _, u := range e.under[e.ended:] {
		u.unlock()
	}
	e.beside.Wait()
}
