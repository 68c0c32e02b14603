package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/backlot-video/backlot/kit/timeslice"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ahead is a batch that is applied to the books before the one before it is
// committed, and written by a goroutine of its own: it is encoded, and on
// PostgreSQL its rows go there, while the one before is committed. It holds nothing
// but transfers that are booked or pended at accounts that the writer remembers:
// such calls need no reading. Where the batch before it fails, so does what was
// applied on top of it: nobody was answered, and both are done again, one after
// the other, by commit.
type ahead struct {
	ledger  store.Ledger // as it will be when the batch is written
	calls   []*waiting
	results [][]ledger.Result
	size    int // requests
	changes ledger.Changes
	batch   *store.Batch
	begun   time.Time

	before  *ahead        // that is flying, too; nil once it does not matter
	held    chan struct{} // closed when nothing but its ledger and the commit is left
	written chan struct{} // closed when err says what came of it
	landed  chan struct{} // closed when its callers are answered, unless they are to be tried again
	err     error
}

// joins tells whether a call can be applied ahead.
func (w *writer) joins(call *Call) bool {
	if w.book == nil || w.lookups > 0 || w.shared > 0 || len(call.Requests) == 0 || call.Guard != nil || call.Refused != nil || call.Within != nil {
		return false
	}
	for i := range call.Requests {
		r := &call.Requests[i]
		if r.Action != ledger.ActionBook && r.Action != ledger.ActionPend || !w.book.Holds(&r.Draft) {
			return false
		}
	}
	return true
}

// join applies a call to the batch that is being made, and reports whether it
// did. Where it did not, the call waits for commit.
func (w *writer) join(c *waiting) bool {
	if !w.joins(&c.call) {
		return false
	}
	w.left.Add(-int64(c.call.size()))
	if !c.take() {
		w.engine.metrics.left.Inc()
		return true
	}
	if w.making == nil {
		next := w.tip
		next.Version++
		next.UpdatedAt = w.timeAfter(w.tip.UpdatedAt)
		w.making = &ahead{ledger: next}
		w.book.Begin()
	}
	m := w.making
	results := applyRequests(w.book, c.call.Requests, m.ledger.UpdatedAt)
	m.calls, m.results, m.size = append(m.calls, c), append(m.results, results), m.size+c.call.size()
	for i := range results {
		if results[i].Err != nil { // perhaps of what is booked already: only the store can tell
			w.batch = append(w.batch[:0], w.settle()...)
			w.commit()
			break
		}
	}
	return true
}

// launch has the batch that was made written.
func (w *writer) launch() {
	m := w.making
	m.begun = w.engine.config.Clock()
	m.changes = w.book.Changes().Detached()
	m.ledger = w.engine.store.After(m.ledger, m.changes, m.ledger.UpdatedAt)
	m.batch = store.NewBatch(m.ledger, w.book, m.changes)
	m.held, m.written, m.landed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	if len(w.flying) > 0 {
		m.before = w.flying[len(w.flying)-1]
	}
	w.tip, w.making, w.flying = m.ledger, nil, append(w.flying, m)
	w.engine.metrics.ahead.Inc()
	w.shrink()
	w.plan()
	go func() {
		defer w.wake()
		defer timeslice.Long()()
		m.err = w.fly(m)
		m.before = nil
		close(m.written)
		if m.err == nil {
			w.finish(m, nil)
		}
		close(m.landed)
	}()
	runtime.Gosched() // it goes first: what waits in the queue joins the batch after it
}

// wake has the writer look at what is flying.
func (w *writer) wake() {
	select {
	case w.news <- struct{}{}:
	default: // it will look anyway
	}
}

// fly writes a batch. It touches nothing that the writer changes meanwhile.
func (w *writer) fly(m *ahead) error {
	facts, err := w.facts(context.Background(), m.ledger.UpdatedAt, m.batch.Posted())
	if err != nil {
		return err
	}
	fresh, err := w.engine.store.WriteAhead(context.Background(), m.batch, facts, store.Turn{Await: m.await, Held: func() {
		close(m.held)
		w.wake()
	}})
	if err == nil && !fresh {
		err = errTaken
	}
	if err == nil && len(facts) > 0 {
		w.engine.config.Told()
	}
	return err
}

// await returns when the batch before is committed, or an error if it failed.
func (m *ahead) await() error {
	if m.before == nil {
		return nil
	}
	<-m.before.written
	if m.before.err != nil {
		return fmt.Errorf("%w: the batch before was not written", store.ErrMoved)
	}
	return nil
}

// isClosed tells whether a channel that is only ever closed is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// room tells whether a batch may be launched: none is flying, or one that only
// its commit keeps.
func (w *writer) room() bool {
	return len(w.flying) == 0 || len(w.flying) == 1 && isClosed(w.flying[0].held)
}

// look takes in what has landed and launches what was made.
func (w *writer) look() {
	for len(w.flying) > 0 && isClosed(w.flying[0].landed) {
		w.land()
	}
	if w.making != nil && w.room() {
		w.launch()
	}
}

// finish answers the callers of a batch that was written, or failed.
func (w *writer) finish(m *ahead, err error) {
	if err == nil {
		w.count(m.changes)
	}
	for i, c := range m.calls {
		if err != nil {
			c.answer(nil, err)
		} else {
			c.answer(m.results[i], nil)
		}
	}
	now := w.engine.config.Clock()
	begun := max(m.begun.UnixNano(), w.ended.Swap(now.UnixNano())) // two that overlap share the time
	w.measure(time.Duration(now.UnixNano()-begun), m.size)
}

// land waits for the first batch that is flying and takes in what came of it.
// Where others have written, or knew its keys, it is done again; so are, in
// order, those that were applied on top of one that failed.
func (w *writer) land() {
	m := w.flying[0]
	<-m.landed
	w.flying = append(w.flying[:0], w.flying[1:]...)
	if m.err == nil {
		return
	}
	later, next := w.flying, w.making
	for _, other := range later {
		<-other.landed
	}
	w.forget()
	w.flying, w.making = nil, nil
	if again(m.err) {
		w.engine.metrics.redone.Inc()
		if errors.Is(m.err, errTaken) {
			w.lookups = lookupsAfter
		} else {
			w.shared = sharedFor
		}
		w.batch = append(w.batch[:0], m.calls...)
		w.commit()
	} else {
		w.finish(m, w.failed(m.err))
	}
	if next != nil {
		later = append(later, next)
	}
	for _, other := range later {
		w.batch = append(w.batch[:0], other.calls...)
		w.commit()
	}
}

// settle waits for what is flying, takes back what was applied ahead of it, and
// returns the calls that are to be done again.
func (w *writer) settle() []*waiting {
	for len(w.flying) > 0 {
		w.land()
	}
	m := w.making
	if m == nil {
		return nil
	}
	w.making = nil
	w.book.Rollback()
	return m.calls
}
