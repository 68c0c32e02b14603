package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/timeslice"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// writer does the calls of one ledger, one batch after the other. It applies a
// batch while the one before it is being written, where that can be done
// without reading.
type writer struct {
	engine *Engine
	key    ledgerKey
	queue  chan *waiting
	left   atomic.Int64 // requests that wait

	// What follows is the goroutine's own.
	book       *ledger.Book // nil where nothing is remembered
	tip        store.Ledger // as it is after the last batch, where something is remembered
	remembered int64        // accounts, as counted in engine.accounts
	lookups    int          // batches to come that look for known idempotency keys first
	shared     int          // batches to come that are not applied ahead, since others write too
	ids        *ids
	batch      []*waiting
	making     *ahead        // nil where none is being made
	flying     []*ahead      // being written: none, one, or two where commits overlap
	news       chan struct{} // of length 1: told when something changed with those

	planning                 atomic.Bool  // it is being read what is to be sorted
	unplanned                atomic.Int64 // ns, when that failed
	ended                    atomic.Int64 // ns, when the last one that was applied ahead was written
	each, perBatch, requests atomic.Int64 // smoothed: ns a request, ns a batch, milli-requests a batch
}

func newWriter(e *Engine, key ledgerKey) *writer {
	return &writer{engine: e, key: key, queue: make(chan *waiting, e.config.QueueLimit), ids: newIDs(e.config.Clock), news: make(chan struct{}, 1)}
}

// offer puts a call into the queue, or returns ledger.ErrBusy. engine.mu is
// held for reading.
func (w *writer) offer(c *waiting) error {
	size := int64(c.call.size())
	if w.left.Add(size) > int64(w.engine.config.WaitingLimit) && size < w.left.Load() {
		w.left.Add(-size)
		w.engine.metrics.refused.Inc()
		return fmt.Errorf("%w: %d requests", ledger.ErrBusy, w.left.Load())
	}
	select {
	case w.queue <- c:
		return nil
	default:
		w.left.Add(-size)
		w.engine.metrics.refused.Inc()
		return fmt.Errorf("%w: %d calls", ledger.ErrBusy, cap(w.queue))
	}
}

// run is the writer's goroutine, until the engine closes or the ledger is idle.
func (w *writer) run() {
	defer w.forget()
	defer timeslice.Long()()
	idle := time.NewTimer(w.engine.config.Idle)
	defer idle.Stop()
	for {
		queue := w.queue
		if w.making != nil && w.making.size >= w.engine.config.BatchLimit {
			queue = nil
		}
		select {
		case first, open := <-queue:
			if !open {
				w.batch = append(w.batch[:0], w.settle()...)
				w.commit()
				return
			}
			w.accept(first)
			idle.Reset(w.engine.config.Idle)
		case <-w.news:
			w.look()
		case <-idle.C:
			if len(w.flying) == 0 && w.engine.retire(w) {
				return
			}
			idle.Reset(w.engine.config.Idle)
		}
	}
}

// accept does first and what waits behind it, or applies it ahead.
func (w *writer) accept(first *waiting) {
	for first != nil {
		if w.join(first) {
			size := 0
			if w.making != nil {
				size = w.making.size
			}
			first = w.next(size)
			continue
		}
		first = w.gather(w.settle(), first)
		w.commit()
	}
	if w.making != nil && w.room() {
		w.launch()
	}
}

// gather makes a batch of calls that were taken already, of first and of what
// waits behind it, up to a call that is to be alone, which it returns.
func (w *writer) gather(taken []*waiting, first *waiting) (later *waiting) {
	clear(w.batch)
	w.batch = append(w.batch[:0], taken...)
	size := 0
	for _, c := range taken {
		size += c.call.size()
	}
	for c := first; c != nil; c = w.next(size) {
		if c.call.Work != nil && len(w.batch) > 0 {
			return c
		}
		w.left.Add(-int64(c.call.size()))
		if !c.take() {
			w.engine.metrics.left.Inc()
			continue
		}
		size += c.call.size()
		w.batch = append(w.batch, c)
		if c.call.Work != nil {
			return nil
		}
	}
	return nil
}

// next is a call that waits, or nil.
func (w *writer) next(have int) *waiting {
	if have >= w.engine.config.BatchLimit {
		return nil
	}
	select {
	case c := <-w.queue: // nil where it is closed and empty
		return c
	default:
		return nil
	}
}

// forget drops what the writer remembers: others may have written, or it does
// not know what came of its own batch.
func (w *writer) forget() {
	w.book = nil
	w.engine.accounts.Add(-w.remembered)
	w.remembered = 0
}

// planAgain is after how long it is tried again to read what is to be sorted, and
// planTimeout how long that may take.
const (
	planAgain   = time.Second
	planTimeout = 10 * time.Second
)

// plan has the ledger's moves read that batches are to sort, where it is not known
// how: beside them, since that takes as long as some of them.
func (w *writer) plan() {
	now := w.engine.config.Clock().UnixNano()
	if !w.engine.store.Unplanned(w.tip) || now-w.unplanned.Load() < planAgain.Nanoseconds() || !w.planning.CompareAndSwap(false, true) {
		return
	}
	tip := w.tip
	w.engine.group.Go(func() {
		defer w.planning.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), planTimeout)
		defer cancel()
		if err := w.engine.store.Plan(ctx, tip); err != nil {
			w.unplanned.Store(now)
			w.engine.config.Log.Warn("what is posted to accounts is not sorted", "err", err)
		}
	})
}

// shrink keeps what is remembered within bounds, between batches.
func (w *writer) shrink() {
	w.book.Begin()
	limit := w.engine.config.AccountLimit
	if w.engine.accounts.Load() > int64(w.engine.config.AccountsLimit) {
		limit = 0
	}
	w.book.Forget(limit)
	now := int64(w.book.Len())
	w.engine.accounts.Add(now - w.remembered)
	w.remembered = now
}

// measure keeps how long batches take.
func (w *writer) measure(took time.Duration, requests int) {
	smooth := func(value *atomic.Int64, sample int64) {
		old := value.Load()
		if old == 0 {
			value.Store(sample)
			return
		}
		value.Store(old + (sample-old)/8)
	}
	smooth(&w.perBatch, took.Nanoseconds())
	smooth(&w.requests, int64(requests)*1000)
	smooth(&w.each, took.Nanoseconds()/int64(max(1, requests)))
	w.engine.metrics.batch.Observe(float64(requests))
	w.engine.metrics.seconds.Observe(took.Seconds())
}

func (w *writer) load() Load {
	return Load{
		Waiting: int(w.left.Load()), Batch: time.Duration(w.perBatch.Load()), Requests: float64(w.requests.Load()) / 1000,
		Each: time.Duration(w.each.Load()),
	}
}
