package backtest

import (
	"context"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/backlot-video/backlot/services/rules/internal/column"
)

// rowGroup is a row group of a Parquet file, which one worker reads.
type rowGroup struct {
	parquet.RowGroup
	plan  *parquetPlan
	first int64 // number of its first row in the file, from 1
	bytes int64 // its part of the file, for the meter
}

// damaged turns a panic of the Parquet library, which a damaged file can cause,
// into an error.
func damaged(name string, err *error) {
	if problem := recover(); problem != nil {
		*err = fmt.Errorf("%w: %s is damaged: %v", ErrInput, name, problem)
	}
}

// readParquet hands over the row groups of a file.
func (in *input) readParquet(ctx context.Context, cut *cutter) (err error) {
	defer damaged(in.name, &err)
	file, err := parquet.OpenFile(in.file, in.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	plan, err := newParquetPlan(file.Root(), cut.run.config, cut.run.pair.plan)
	if err != nil {
		return err
	}
	first := int64(1)
	for _, group := range file.RowGroups() {
		bytes := in.size * group.NumRows() / max(1, file.NumRows())
		if err := cut.send(ctx, &piece{in: in, group: &rowGroup{group, plan, first, bytes}}); err != nil {
			return err
		}
		first += group.NumRows()
	}
	return nil
}

// rowGroup judges a row group, batch by batch.
func (w *worker) rowGroup(ctx context.Context, p *piece) (err error) {
	defer damaged(p.in.name, &err)
	group := p.group
	chunks := group.ColumnChunks()
	readers := make([]*leafReader, len(group.plan.leaves))
	for i, leaf := range group.plan.leaves {
		readers[i] = &leafReader{pages: chunks[leaf.index].Pages(), values: make([]parquet.Value, 256)}
		defer readers[i].close()
	}
	if verdicts := w.run.pair.plan.Width(); w.run.pair.live == nil && len(w.batch.Cols) <= verdicts {
		w.batch.Cols = append(w.batch.Cols, column.Column{S: column.Text{Dict: &column.Dict{}}})
	}
	rows := group.NumRows()
	for done := int64(0); done < rows && ctx.Err() == nil; {
		n := int(min(column.Rows, rows-done))
		for i, leaf := range group.plan.leaves {
			if err := leaf.fill(readers[i], &w.batch, n); err != nil {
				return fmt.Errorf("%w: %s: rows %d to %d: column %s: %w", ErrInput, p.in.name, group.first+done, group.first+done+int64(n)-1, leaf.name, err)
			}
		}
		w.batch.N = n
		for row := range n {
			w.origins = append(w.origins, origin{number: group.first + done + int64(row)})
		}
		if err := w.recordedOf(p, n); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
		done += int64(n)
		w.run.config.Meter.Read.Add(group.bytes * int64(n) / rows)
	}
	return nil
}

// recordedOf reads the verdicts of the batch from their own batch.
func (w *worker) recordedOf(p *piece, n int) error {
	if w.run.pair.live != nil {
		return nil
	}
	c := &w.batch.Cols[w.run.pair.plan.Width()]
	w.recorded = w.recorded[:0]
	for row := range n {
		verdict := ""
		if c.OK.Has(row) {
			verdict = c.S.Dict.Value(c.S.Codes[row])
		}
		action := recordedAction(verdict)
		if action == 0 {
			return fmt.Errorf("%w: %w", ErrInput, &Bad{
				p.in.name, w.origins[row].number,
				fmt.Sprintf("column %q: want allow, challenge, review or deny, found %q", w.run.config.VerdictField, verdict),
			})
		}
		w.recorded = append(w.recorded, action)
	}
	c.OK, c.S.Codes = c.OK[:0], c.S.Codes[:0]
	return nil
}

// leafReader reads the values of one column of a row group.
type leafReader struct {
	pages  parquet.Pages
	page   parquet.Page
	reader parquet.ValueReader
	values []parquet.Value
	at, n  int
	ended  bool
}

// peek returns the next value, or nil at the end.
func (r *leafReader) peek() (*parquet.Value, error) {
	for r.at == r.n {
		if err := r.more(); err != nil {
			return nil, err
		}
		if r.ended {
			return nil, nil
		}
	}
	return &r.values[r.at], nil
}
