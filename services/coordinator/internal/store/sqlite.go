package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// sqlite writes a batch row by row in one transaction, with statements that
// are prepared once for it.
type sqlite struct{ db *database.DB }

func (s sqlite) commit(ctx context.Context, owner string, batch []*write) (results []error, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		held, err := coordinatordb.New(tx).Fence(ctx, owner)
		if err != nil {
			return err
		}
		rows := newRowWriter(tx)
		defer rows.close()
		results = make([]error, len(batch))
		for i, w := range batch {
			added := false
			if held > 0 {
				if added, err = rows.write(ctx, w); err != nil {
					return err
				}
			}
			if !added {
				results[i] = w.refusal(held > 0)
			}
		}
		return rows.tell(ctx)
	})
	return results, err
}

// undone: a transaction that failed has left nothing.
func (s sqlite) undone(err error) bool { return !errors.Is(err, database.ErrClosed) }

// rowWriter writes in one transaction, which tell ends.
type rowWriter struct {
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
	bundles  bundler
	bundle   coordinatordb.AddFactParams // facts that are not added yet; without ID there are none
}

func newRowWriter(tx *sql.Tx) *rowWriter {
	return &rowWriter{tx: tx, prepared: make(map[string]*sql.Stmt)}
}

func (r *rowWriter) close() {
	for _, statement := range r.prepared {
		_ = statement.Close()
	}
}

// run executes a statement and tells whether it changed a row.
func (r *rowWriter) run(ctx context.Context, query string, args ...any) (bool, error) {
	statement, found := r.prepared[query]
	if !found {
		var err error
		if statement, err = r.tx.PrepareContext(ctx, query); err != nil {
			return false, err
		}
		r.prepared[query] = statement
	}
	result, err := statement.ExecContext(ctx, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// write adds w's rows, or none where its place is taken.
func (r *rowWriter) write(ctx context.Context, w *write) (added bool, err error) {
	if b := w.begin; b != nil {
		added, err = r.run(ctx, coordinatordb.AddTransaction, b.TenantID, b.Xid, b.Mode, b.Digest, b.Branches, b.CreatedAt, b.ExpiresAt, b.Records)
		if err != nil || !added {
			return false, err
		}
		return r.run(ctx, coordinatordb.OpenTransaction, w.owner, w.createdAt, w.key.TenantID, w.key.XID)
	}
	e := w.entry
	added, err = r.run(ctx, coordinatordb.AddEntry, e.Sequence, e.State, e.Problem, e.OccurredAt, e.Records,
		w.owner, w.createdAt, w.key.TenantID, w.key.XID)
	if err != nil || !added {
		return false, err
	}
	switch state := tcc.State(e.State); {
	case state.Ended():
		_, err = r.run(ctx, coordinatordb.CloseTransaction, w.owner, w.createdAt, w.key.TenantID, w.key.XID)
	case state == tcc.Parked:
		_, err = r.run(ctx, coordinatordb.ParkTransaction, w.owner, w.createdAt, w.key.TenantID, w.key.XID)
	}
	if err != nil {
		return false, err
	}
	for _, fact := range w.facts {
		number := r.bundles.number
		if r.bundles.next(w.key.TenantID, fact) != number {
			if err := r.tell(ctx); err != nil {
				return false, err
			}
			r.bundle = coordinatordb.AddFactParams{
				ID: fact.ID, TenantID: w.key.TenantID, Sequence: e.OccurredAt, Envelope: mq.Bundle(), CreatedAt: e.OccurredAt,
			}
		}
		r.bundle.ID = min(r.bundle.ID, fact.ID)
		r.bundle.Envelope = append(r.bundle.Envelope, mq.Bundled(fact.Envelope)...)
	}
	return true, nil
}

// tell adds the facts that are not added yet.
func (r *rowWriter) tell(ctx context.Context) error {
	b := r.bundle
	if b.ID == "" {
		return nil
	}
	r.bundle = coordinatordb.AddFactParams{}
	_, err := r.run(ctx, coordinatordb.AddFact, b.ID, b.TenantID, b.Sequence, b.Envelope, b.CreatedAt)
	return err
}
