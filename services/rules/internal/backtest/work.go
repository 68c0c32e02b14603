package backtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// worker judges pieces, one at a time.
type worker struct {
	run   *run
	tally *tally
	state *column.State

	text    *fact.Text
	record  fact.Record
	builder *column.Builder

	piece0   *piece
	counting bool // it is this piece's turn to count
	batch    column.Batch
	origins  []origin        // of the rows of the batch
	recorded []syntax.Action // verdicts in the events, beside origins

	draft, live column.Verdicts
	differ      column.Bits
	judging     time.Duration // of the piece, with counting and waiting
}

// origin is where an event stands.
type origin struct {
	number int64
	text   []byte // nil where the input is Parquet
}

func newWorker(r *run) *worker {
	w := &worker{
		run: r, state: column.NewState(r.pair.program, r.config.Rates), text: fact.NewText(r.pair.set.Layout, fact.TextConfig{Extra: r.config.VerdictField, IgnoreUnknown: r.config.IgnoreUnknown}),
		builder: column.NewBuilder(r.pair.plan), tally: newTally(r.pair, r.config),
	}
	w.tally.state = w.state
	return w
}

// piece judges a piece.
func (w *worker) piece(ctx context.Context, p *piece) error {
	began := time.Now()
	w.piece0, w.counting, w.judging = p, false, 0
	defer func() {
		w.turn()
		if p.done != nil {
			close(p.done)
		}
		if p.data != nil {
			w.run.release(p.data)
		}
	}()
	if ctx.Err() != nil {
		return nil
	}
	w.begin()
	var err error
	if p.group != nil {
		err = w.rowGroup(ctx, p)
	} else {
		err = w.lines(p)
	}
	w.tally.decoding += time.Since(began) - w.judging
	return err
}

// turn waits until the piece may count.
func (w *worker) turn() {
	if !w.counting && w.piece0.ready != nil {
		<-w.piece0.ready
	}
	w.counting = true
}

// begin starts the next batch.
func (w *worker) begin() {
	w.builder.Begin(&w.batch)
	w.origins, w.recorded = w.origins[:0], w.recorded[:0]
}

// flushFull judges the batch when it is full.
func (w *worker) flushFull() error {
	if w.batch.N < column.Rows {
		return nil
	}
	return w.flush()
}

// flush judges the batch and starts the next.
func (w *worker) flush() error {
	if w.batch.N == 0 {
		return nil
	}
	began := time.Now()
	defer func() { w.judging += time.Since(began) }()
	w.builder.End()
	pair := w.run.pair
	if pair.counter != nil {
		w.turn()
		started := time.Now()
		if row, behind, ok := pair.order(&w.batch); !ok {
			return fmt.Errorf("%w: %s:%d: the event is %s earlier than one before it; velocity needs events in the order of %s: sort them, or allow more by --disorder",
				ErrInput, w.piece0.in.name, w.origins[row].number, behind, w.run.config.Schema.Time().Name())
		}
		pair.counter.Run(&w.batch)
		w.tally.counting += time.Since(started)
	}
	started := time.Now()
	w.judge()
	w.tally.add(w)
	w.tally.comparing += time.Since(started)
	w.run.config.Meter.Events.Add(int64(w.batch.N))
	w.begin()
	return nil
}

// judge gives the verdicts of both sides on the batch, and the rows for which
// different rules fired.
func (w *worker) judge() {
	pair := w.run.pair
	w.state.Begin(&w.batch)
	w.state.Judge(pair.draft.rules, &w.draft)
	words := (w.batch.N + 63) / 64
	w.differ = slices.Grow(w.differ[:0], words)[:words]
	clear(w.differ)
	if pair.live == nil {
		w.live.Actions = append(w.live.Actions[:0], w.recorded...)
		return
	}
	w.state.Judge(pair.live.rules, &w.live)
	for i := range pair.draft.rules {
		var before column.Bits
		if other := w.tally.twin[i]; other >= 0 {
			before = w.live.Fired[other]
		}
		w.note(before, w.draft.Fired[i])
	}
	for _, i := range w.tally.removed {
		w.note(w.live.Fired[i], nil)
	}
}

// note adds the rows that are in only one of two sets.
func (w *worker) note(a, b column.Bits) {
	switch {
	case a == nil && b == nil:
	case a == nil:
		for i := range b {
			w.differ[i] |= b[i]
		}
	case b == nil:
		for i := range a {
			w.differ[i] |= a[i]
		}
	case &a[0] == &b[0]: // one condition of both
	default:
		for i := range a {
			w.differ[i] |= a[i] ^ b[i]
		}
	}
}

// recordedAction is the action of a recorded verdict, 0 if it is none.
func recordedAction(verdict string) syntax.Action {
	for action := syntax.Allow; action <= syntax.Deny; action++ {
		if action.String() == verdict {
			return action
		}
	}
	return 0
}
