package engine

import (
	"context"
	"errors"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ahead is a batch that is applied to the books before the one before it is
// committed, and written by a goroutine of its own. It holds nothing but
// transfers that are booked or pended at accounts that the writer remembers:
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
	if !w.joins(c.call) {
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

// launch has the batch that was made written. None is being written.
func (w *writer) launch() {
	m := w.making
	m.begun = w.engine.config.Clock()
	m.changes = w.book.Changes().Detached()
	m.ledger = w.engine.store.After(m.ledger, m.changes, m.ledger.UpdatedAt)
	m.batch = store.NewBatch(m.ledger, w.book, m.changes)
	w.tip, w.making, w.flying = m.ledger, nil, m
	w.engine.metrics.ahead.Inc()
	w.shrink()
	go func() {
		if m.err = w.fly(m); m.err == nil {
			w.finish(m, nil)
		}
		w.landed <- struct{}{}
	}()
}

// fly writes a batch. It touches nothing that the writer changes meanwhile.
func (w *writer) fly(m *ahead) error {
	facts, err := w.facts(context.Background(), m.ledger.UpdatedAt, m.changes.Posted)
	if err != nil {
		return err
	}
	err = w.engine.store.Write(context.Background(), func(ctx context.Context, session *store.Session) error {
		fresh, err := session.WriteAhead(ctx, m.batch, facts)
		if err == nil && !fresh {
			err = errTaken
		}
		return err
	})
	if err == nil && len(facts) > 0 {
		w.engine.config.Told()
	}
	return err
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
	w.measure(w.engine.config.Clock().Sub(m.begun), m.size)
}

// land takes in what came of the batch that was written. Where others have
// written, or knew its keys, it is done again.
func (w *writer) land() {
	m, next := w.flying, w.making
	w.flying = nil
	if m.err == nil {
		return
	}
	w.forget()
	w.making = nil
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
		w.batch = append(w.batch[:0], next.calls...)
		w.commit()
	}
}

// settle waits for the batch that is being written, takes back what was applied
// ahead of it, and returns the calls that are to be done again.
func (w *writer) settle() []*waiting {
	if w.flying != nil {
		<-w.landed
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
