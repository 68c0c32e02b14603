package store

import (
	"context"
	"database/sql"
	"time"

	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
	"github.com/backlot-video/backlot/sql/gen/coordinatorpg"
)

// Remove implements runner.Store.
func (s *Store) Remove(ctx context.Context, before time.Time, limit int) (removed int64, err error) {
	if removed, err = s.committer.engine.remove(ctx, before.UnixMicro(), int32(limit)); err == nil {
		s.metrics.removed.Add(float64(removed))
	}
	return removed, err
}

func (p postgres) remove(ctx context.Context, before int64, limit int32) (removed int64, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, coordinatorpg.RemoveEnded, before, limit)
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	})
	return removed, err
}

func (s sqlite) remove(ctx context.Context, before int64, limit int32) (removed int64, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ended, err := coordinatordb.New(tx).ListEnded(ctx, coordinatordb.ListEndedParams{Before: before, MaxRows: limit})
		if err != nil {
			return err
		}
		rows := newRowWriter(tx)
		defer rows.close()
		for _, key := range ended {
			for _, query := range []string{coordinatordb.RemoveTransaction, coordinatordb.RemoveEntries, coordinatordb.RemoveRecords} {
				if _, err := rows.run(ctx, query, key.TenantID, key.Xid); err != nil {
					return err
				}
			}
		}
		removed = int64(len(ended))
		return nil
	})
	return removed, err
}
