package store

import (
	"context"
	"database/sql"
	"time"

	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// Remove implements runner.Store.
func (s *Store) Remove(ctx context.Context, before time.Time, limit int) (removed int64, err error) {
	micros, rows := before.UnixMicro(), int32(limit)
	err = s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		if err := q.RemoveEndedEntries(ctx, coordinatordb.RemoveEndedEntriesParams{Before: micros, MaxRows: rows}); err != nil {
			return err
		}
		if err := q.RemoveEndedRecords(ctx, coordinatordb.RemoveEndedRecordsParams{Before: micros, MaxRows: rows}); err != nil {
			return err
		}
		removed, err = q.RemoveEnded(ctx, coordinatordb.RemoveEndedParams{Before: micros, MaxRows: rows})
		return err
	})
	if err == nil {
		s.metrics.removed.Add(float64(removed))
	}
	return removed, err
}
