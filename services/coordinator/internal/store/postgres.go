package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/sql/gen/coordinatorpg"
)

// postgres writes a batch in one round trip: three statements with an array
// for each column, sent together, which the server runs as one transaction.
type postgres struct{ db *database.DB }

func (p postgres) commit(ctx context.Context, owner string, batch []*write) ([]error, error) {
	conn, err := p.db.Read().Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var held bool
	done := make(map[runner.Key]bool, len(batch))
	err = conn.Raw(func(driver any) error {
		native, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		held, err = send(ctx, native.Conn(), owner, batch, done)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("commit %d writes: %w", len(batch), err)
	}
	results := make([]error, len(batch))
	for i, w := range batch {
		if !done[w.key] {
			results[i] = w.refusal(held)
		}
	}
	return results, nil
}

// undone: an error that the server has answered with has undone all.
func (p postgres) undone(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer)
}

// send writes the batch and marks what was done. Without the fence nothing is.
func send(ctx context.Context, conn *pgx.Conn, owner string, batch []*write, done map[runner.Key]bool) (held bool, err error) {
	var begins coordinatorpg.AddTransactionsParams
	var entries coordinatorpg.AddEntriesParams
	for _, w := range sorted(batch) {
		if w.begin != nil {
			addBegin(&begins, w)
		} else {
			addEntry(&entries, w)
		}
	}
	statements := &pgx.Batch{}
	statements.Queue(coordinatorpg.HoldFence, owner).Query(func(rows pgx.Rows) error {
		held = rows.Next()
		rows.Close()
		return rows.Err()
	})
	mark := func(rows pgx.Rows) error {
		var key runner.Key
		_, err := pgx.ForEachRow(rows, []any{&key.TenantID, &key.XID}, func() error {
			done[key] = true
			return nil
		})
		return err
	}
	if len(begins.Xids) > 0 {
		statements.Queue(coordinatorpg.AddTransactions, begins.TenantIds, begins.Xids, begins.Modes, owner, begins.Digests,
			begins.Branches, begins.CreatedAt, begins.ExpiresAt, begins.Records).Query(mark)
	}
	if len(entries.Xids) > 0 {
		statements.Queue(coordinatorpg.AddEntries, entries.TenantIds, entries.Xids, entries.Sequences, entries.States, entries.Problems,
			entries.OccurredAt, entries.Records, entries.FactIds, entries.Facts, owner).Query(mark)
	}
	err = conn.SendBatch(ctx, statements).Close()
	return held, err
}

// sorted gives the batch by key, so that two coordinators that begin the same
// transactions do not wait for each other.
func sorted(batch []*write) []*write {
	return slices.SortedFunc(slices.Values(batch), func(a, b *write) int {
		return cmp.Or(cmp.Compare(a.key.TenantID, b.key.TenantID), cmp.Compare(a.key.XID, b.key.XID))
	})
}

func addBegin(p *coordinatorpg.AddTransactionsParams, w *write) {
	p.TenantIds = append(p.TenantIds, w.key.TenantID)
	p.Xids = append(p.Xids, w.key.XID)
	p.Modes = append(p.Modes, w.begin.Mode)
	p.Digests = append(p.Digests, w.begin.Digest)
	p.Branches = append(p.Branches, w.begin.Branches)
	p.CreatedAt = append(p.CreatedAt, w.begin.CreatedAt)
	p.ExpiresAt = append(p.ExpiresAt, w.begin.ExpiresAt)
	p.Records = append(p.Records, w.begin.Records)
}

func addEntry(p *coordinatorpg.AddEntriesParams, w *write) {
	p.TenantIds = append(p.TenantIds, w.key.TenantID)
	p.Xids = append(p.Xids, w.key.XID)
	p.Sequences = append(p.Sequences, w.entry.Sequence)
	p.States = append(p.States, w.entry.State)
	p.Problems = append(p.Problems, w.entry.Problem)
	p.OccurredAt = append(p.OccurredAt, w.entry.OccurredAt)
	p.Records = append(p.Records, w.entry.Records)
	p.FactIds = append(p.FactIds, w.fact.ID)
	p.Facts = append(p.Facts, w.fact.Envelope)
}
