package configclient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Bounds of what goes together and of what waits.
const (
	maxBatch   = 64 // releases, or reads, of a call
	maxChanges = 16 // of a release that shares
	maxBytes   = 32 << 10
	maxQueued  = 1024
)

// begins is how many have to wait for another call to begin, by the
// calls that are on their way.
var begins = [...]int{1, 8, 32, maxBatch}

// A call that takes longer than slowAfter has probably met a member that is
// lost, and no longer counts as on its way, or everybody would wait for it; at
// most maxSlow are so.
const (
	slowAfter = 100 * time.Millisecond
	maxSlow   = 16
)

var errFull = errors.New("too many requests wait to be sent to the configstore")

// item is one release, or one read, on its way.
type item struct {
	ctx     context.Context // of its caller
	tenant  string
	release *configstorev1.ApplyRequest
	read    *configstorev1.GetRequest
	done    chan outcome // holds one
}

type outcome struct {
	released *configstorev1.ApplyResponse
	read     *configstorev1.GetResponse
	alone    bool // the call could not have it: it goes alone
	err      error
}

// queue has what waits for a call: releases, or reads.
type queue struct {
	send    func(batch []*item) // gives every item its outcome
	late    time.Duration       // slowAfter
	metrics metrics

	mu       sync.Mutex
	waiting  []*item // oldest first
	inFlight int     // calls, without slow ones
	slow     int
}

// do has an item done together with others, or by the call alone.
func (q *queue) do(w *item, alone func() outcome) outcome {
	over, err := q.enter(w)
	if err != nil {
		return outcome{err: err}
	}
	if over != nil {
		defer over()
		return alone()
	}
	select {
	case out := <-w.done:
		if out.alone {
			return alone()
		}
		return out
	case <-w.ctx.Done():
		q.withdraw(w)
		return outcome{err: ended(w.ctx)}
	}
}

// enter queues an item, unless nothing else is on its way: then the caller
// makes the call alone, and says when it is over.
func (q *queue) enter(w *item) (over func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inFlight == 0 && len(q.waiting) == 0 {
		return q.count(), nil
	}
	if len(q.waiting) >= maxQueued {
		q.metrics.refused.Inc()
		return nil, connect.NewWireError(connect.CodeResourceExhausted, errFull)
	}
	w.done = make(chan outcome, 1)
	q.waiting = append(q.waiting, w)
	q.begin()
	return nil, nil
}

// begin starts what calls are due; q.mu is held.
func (q *queue) begin() {
	for q.inFlight < len(begins) && len(q.waiting) >= begins[q.inFlight] {
		batch, over := q.take(), q.count()
		q.metrics.shared.Observe(float64(len(batch)))
		go func() {
			defer over()
			q.send(batch)
		}()
	}
}

// take removes the next batch, which is of one tenant; q.mu is held and
// something waits.
func (q *queue) take() []*item {
	batch := make([]*item, 0, min(maxBatch, len(q.waiting)))
	tenant := q.waiting[0].tenant
	left := q.waiting[:0]
	for _, w := range q.waiting {
		if len(batch) < maxBatch && w.tenant == tenant {
			batch = append(batch, w)
		} else {
			left = append(left, w)
		}
	}
	clear(q.waiting[len(left):])
	q.waiting = left
	return batch
}

// count counts a call as on its way until it is over or slow, and begins what
// is due then; q.mu is held.
func (q *queue) count() (over func()) {
	q.inFlight++
	counted := &q.inFlight // where this call counts; nil when it is over
	late := time.AfterFunc(q.late, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if counted == &q.inFlight && q.slow < maxSlow {
			q.inFlight--
			q.slow++
			counted = &q.slow
			q.begin()
		}
	})
	return func() {
		late.Stop()
		q.mu.Lock()
		defer q.mu.Unlock()
		*counted--
		counted = nil
		q.begin()
	}
}

// withdraw takes an item back that is not on its way.
func (q *queue) withdraw(w *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := slices.Index(q.waiting, w); n >= 0 {
		q.waiting = slices.Delete(q.waiting, n, n+1)
	}
}
