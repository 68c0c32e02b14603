package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/tcc"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

var (
	// errTaken: an idempotency key was known after all.
	errTaken = errors.New("idempotency key is known")
	// errNothing: a batch had nothing to write, and needs no commit.
	errNothing = errors.New("nothing to write")
)

const (
	// attempts is how often a batch is tried that meets what others have written.
	attempts = 4
	// lookupsAfter is how many batches look for known idempotency keys before
	// they are applied, after one that found some too late.
	lookupsAfter = 64
	// sharedFor is how many batches are not applied ahead, after one that was
	// in vain: others write at the ledger too.
	sharedFor = 64
)

// outcome is what a batch answers.
type outcome struct {
	results [][]ledger.Result
	errs    []error
	tip     store.Ledger
	changes ledger.Changes
}

// commit does the batch and answers its callers.
func (w *writer) commit() {
	if len(w.batch) == 0 {
		return
	}
	begun := w.engine.config.Clock()
	out, err := w.try()
	for attempt := 1; attempt < attempts && again(err); attempt++ {
		w.engine.metrics.redone.Inc()
		w.lookups = lookupsAfter
		out, err = w.try()
	}
	if w.lookups > 0 {
		w.lookups--
	}
	if w.shared > 0 {
		w.shared--
	}
	var undone errUndone
	switch {
	case errors.As(err, &undone):
		err = undone.error
	case err != nil:
		err = w.failed(err)
	default:
		w.tip = out.tip
		w.count(out.changes)
		w.shrink()
		w.plan()
	}
	requests := 0
	for i, c := range w.batch {
		requests += c.call.size()
		if err != nil {
			c.answer(nil, err)
		} else {
			c.answer(out.results[i], out.errs[i])
		}
	}
	w.measure(w.engine.config.Clock().Sub(begun), requests)
}

// again tells whether a batch met what others have written, and may be tried
// again.
func again(err error) bool {
	return errors.Is(err, errTaken) || errors.Is(err, store.ErrMoved) || errors.Is(err, tcc.ErrMoved)
}

// failed is what the callers of a batch are told that failed.
func (w *writer) failed(err error) error {
	return failure{fmt.Errorf("book at ledger %s: %w", w.key.currency, err)}
}

// try does the batch in one transaction. Where that fails, nothing is
// remembered.
func (w *writer) try() (out outcome, err error) {
	told := false
	err = w.engine.store.Write(context.Background(), func(ctx context.Context, session *store.Session) error {
		b := &batch{writer: w, session: session}
		told = false
		if err := b.run(ctx); err != nil {
			out = b.outcome
			return err
		}
		out, told = b.outcome, b.told
		return nil
	})
	if errors.Is(err, errNothing) {
		return out, nil
	}
	if err != nil {
		w.forget()
		return outcome{}, err
	}
	if told {
		w.engine.config.Told()
	}
	return out, nil
}

// batch is one transaction.
type batch struct {
	*writer
	session *store.Session
	ledger  store.Ledger
	at      time.Time
	guards  *tcc.Set
	told    bool
	worked  bool // a Work may have written rows of its own
	outcome
}

func (b *batch) run(ctx context.Context) (err error) {
	if b.ledger, err = b.session.Lock(ctx, b.key.tenantID, b.key.currency); err != nil {
		return err
	}
	if b.book == nil || b.ledger.Version != b.writer.tip.Version+1 {
		b.forget()
		b.book = ledger.NewBook(ledger.Head{})
		last, err := b.session.LastPacked(ctx, b.ledger)
		if err != nil {
			return err
		}
		b.ids.after(last)
	}
	b.book.Continue(b.ledger.Head, b.ledger.LastAccount, b.ids.next)
	b.book.Begin()
	b.at = b.timeAfter(b.ledger.UpdatedAt)
	if err := b.read(ctx); err != nil {
		return err
	}
	if err := b.apply(ctx); err != nil {
		return err
	}
	if b.lookups == 0 && b.refused() { // perhaps of what is booked already
		b.lookups = lookupsAfter
		b.book.Rollback()
		if err := b.read(ctx); err != nil {
			return err
		}
		if err := b.apply(ctx); err != nil {
			return err
		}
	}
	changes := b.book.Changes()
	if changes.None() && !b.worked && (b.guards == nil || !b.guards.Changed()) {
		b.outcome.tip = b.ledger
		b.outcome.tip.Version--
		return errNothing
	}
	b.outcome.tip, b.changes = b.engine.store.After(b.ledger, changes, b.at), changes
	if err := b.write(ctx, changes); err != nil {
		return err
	}
	for i, c := range b.batch {
		if c.call.Within != nil && b.errs[i] == nil {
			c.call.Within()
		}
	}
	return nil
}

func (b *batch) write(ctx context.Context, changes ledger.Changes) error {
	made := store.NewBatch(b.outcome.tip, b.book, changes)
	facts, err := b.facts(ctx, b.at, made.Posted())
	if err != nil {
		return err
	}
	fresh, err := b.session.Write(ctx, made, facts)
	if err != nil {
		return err
	}
	if !fresh {
		return errTaken
	}
	b.told = len(facts) > 0
	if b.guards != nil {
		return b.guards.Save(ctx, b.session.Tx)
	}
	return nil
}

// facts are those that transfers were posted.
func (w *writer) facts(ctx context.Context, at time.Time, posted store.Posted) ([]store.Fact, error) {
	if w.engine.config.Tell == nil || len(posted.Transfers) == 0 {
		return nil, nil
	}
	facts, err := w.engine.config.Tell(ctx, w.key.tenantID, w.key.currency, at, posted)
	if err != nil {
		return nil, fmt.Errorf("tell of transfers: %w", err)
	}
	return facts, nil
}

// timeAfter is the time of a batch: each has one of its own, later than all
// before.
func (w *writer) timeAfter(last time.Time) time.Time {
	at := w.engine.Now()
	if !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	return at
}

// apply does the calls in memory. An error undoes all.
func (b *batch) apply(ctx context.Context) error {
	b.results, b.errs = make([][]ledger.Result, len(b.batch)), make([]error, len(b.batch))
	if call := &b.batch[0].call; call.Work != nil { // it is alone
		return b.applyWork(ctx, call)
	}
	for i, c := range b.batch {
		b.results[i], b.errs[i] = b.applyCall(&c.call)
	}
	return nil
}

// refused tells whether a request to book was refused.
func (b *batch) refused() bool {
	for i, c := range b.batch {
		if len(c.call.Requests) > 0 && b.errs[i] != nil {
			return true
		}
		for _, result := range b.results[i] {
			if result.Err != nil {
				return true
			}
		}
	}
	return false
}

// errUndone wraps what a call's Work returned.
type errUndone struct{ error }

func (b *batch) applyWork(ctx context.Context, call *Call) error {
	if call.Guard != nil {
		first, err := b.guards.Check(call.Guard.Branch, call.Guard.Phase)
		if err != nil || !first {
			b.errs[0] = err
			return nil
		}
	}
	err := call.Refused
	if err == nil {
		err = call.Work(ctx, &Tx{b})
	}
	if err != nil {
		return errUndone{err}
	}
	if call.Guard != nil {
		b.guards.Pass(call.Guard.Branch, call.Guard.Phase)
	}
	b.worked = true
	return nil
}

func (b *batch) applyCall(call *Call) ([]ledger.Result, error) {
	if call.Guard != nil {
		return b.applyGuarded(call)
	}
	if call.Refused != nil {
		return nil, call.Refused
	}
	if call.change != nil {
		return nil, call.change(b.book)
	}
	if len(call.expire) > 0 {
		results := make([]ledger.Result, len(call.expire))
		for i, id := range call.expire {
			results[i] = b.book.Expire(id, b.at)
		}
		return results, nil
	}
	return applyRequests(b.book, call.Requests, b.at), nil
}

// applyRequests does requests, each chain of them all or none.
func applyRequests(book *ledger.Book, requests []ledger.Request, at time.Time) []ledger.Result {
	results := book.Results(len(requests))
	for first := 0; first < len(requests); {
		next := first + 1
		for requests[next-1].Linked && next < len(requests) {
			next++
		}
		book.ApplyInto(results[first:next], requests[first:next], at)
		first = next
	}
	return results
}

// applyGuarded does a call behind its barrier. Where one of its requests is
// refused, the call has not happened.
func (b *batch) applyGuarded(call *Call) ([]ledger.Result, error) {
	guard := call.Guard
	first, err := b.guards.Check(guard.Branch, guard.Phase)
	switch {
	case err != nil:
		return nil, err
	case !first:
		return nil, nil
	case call.Refused != nil:
		return nil, call.Refused
	}
	results := b.book.Apply(call.Requests, b.at)
	for _, result := range results {
		if result.Err != nil && !errors.Is(result.Err, ledger.ErrLinked) {
			return nil, result.Err
		}
	}
	b.guards.Pass(guard.Branch, guard.Phase)
	return results, nil
}

// count counts the transfers of a batch that is committed.
func (w *writer) count(changes ledger.Changes) {
	w.engine.metrics.count(changes.Added)
	w.engine.metrics.count(changes.Ended)
}
