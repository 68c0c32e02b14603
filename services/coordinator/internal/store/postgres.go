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
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	"github.com/backlot-video/backlot/sql/gen/coordinatorpg"
)

// postgres writes a batch in one round trip: statements with an array for each
// column, sent together, which the server runs as one transaction.
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
	p := parametersOf(batch)
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
	if begins := p.begins; len(begins.Xids) > 0 {
		statements.Queue(coordinatorpg.AddTransactions, owner, begins.TenantIds, begins.Xids, begins.Modes, begins.Digests,
			begins.Branches, begins.CreatedAt, begins.ExpiresAt, begins.Records).Query(mark)
	}
	if entries := p.entries; len(entries.Xids) > 0 {
		statements.Queue(coordinatorpg.AddEntries, entries.CreatedAt, entries.TenantIds, entries.Xids, entries.Sequences,
			entries.States, entries.Problems, entries.OccurredAt, entries.Records, owner).Query(mark)
	}
	if ends := p.ends; len(ends.Xids) > 0 {
		statements.Queue(coordinatorpg.CloseTransactions, ends.CreatedAt, ends.TenantIds, ends.Xids, ends.Sequences, owner)
	}
	if parks := p.parks; len(parks.Xids) > 0 {
		statements.Queue(coordinatorpg.ParkTransactions, parks.CreatedAt, parks.TenantIds, parks.Xids, parks.Sequences, owner)
	}
	if facts := p.facts; len(facts.Xids) > 0 {
		statements.Queue(coordinatorpg.AddFacts, mq.Bundle(), facts.Ids, facts.TenantIds, facts.Xids, facts.Sequences,
			facts.Bundles, facts.Parts)
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

// parameters are the arrays of a batch's statements.
type parameters struct {
	begins  coordinatorpg.AddTransactionsParams
	entries coordinatorpg.AddEntriesParams
	ends    coordinatorpg.CloseTransactionsParams
	parks   coordinatorpg.CloseTransactionsParams // ParkTransactions takes the same
	facts   coordinatorpg.AddFactsParams
	bundles bundler
}

func parametersOf(batch []*write) *parameters {
	p := &parameters{}
	for _, w := range sorted(batch) {
		if w.begin != nil {
			p.addBegin(w)
			continue
		}
		p.addEntry(w)
		switch state := tcc.State(w.entry.State); {
		case state.Ended():
			addRest(&p.ends, w)
		case state == tcc.Parked:
			addRest(&p.parks, w)
		}
		for _, fact := range w.facts {
			p.addFact(w, fact)
		}
	}
	return p
}

func (p *parameters) addBegin(w *write) {
	b := &p.begins
	b.TenantIds = append(b.TenantIds, w.key.TenantID)
	b.Xids = append(b.Xids, w.key.XID)
	b.Modes = append(b.Modes, w.begin.Mode)
	b.Digests = append(b.Digests, w.begin.Digest)
	b.Branches = append(b.Branches, w.begin.Branches)
	b.CreatedAt = append(b.CreatedAt, w.createdAt)
	b.ExpiresAt = append(b.ExpiresAt, w.begin.ExpiresAt)
	b.Records = append(b.Records, w.begin.Records)
}

func (p *parameters) addEntry(w *write) {
	e := &p.entries
	e.CreatedAt = append(e.CreatedAt, w.createdAt)
	e.TenantIds = append(e.TenantIds, w.key.TenantID)
	e.Xids = append(e.Xids, w.key.XID)
	e.Sequences = append(e.Sequences, w.entry.Sequence)
	e.States = append(e.States, w.entry.State)
	e.Problems = append(e.Problems, w.entry.Problem)
	e.OccurredAt = append(e.OccurredAt, w.entry.OccurredAt)
	e.Records = append(e.Records, w.entry.Records)
}

func addRest(r *coordinatorpg.CloseTransactionsParams, w *write) {
	r.CreatedAt = append(r.CreatedAt, w.createdAt)
	r.TenantIds = append(r.TenantIds, w.key.TenantID)
	r.Xids = append(r.Xids, w.key.XID)
	r.Sequences = append(r.Sequences, w.entry.Sequence)
}

func (p *parameters) addFact(w *write, fact Fact) {
	f := &p.facts
	f.Ids = append(f.Ids, fact.ID)
	f.TenantIds = append(f.TenantIds, w.key.TenantID)
	f.Xids = append(f.Xids, w.key.XID)
	f.Sequences = append(f.Sequences, w.entry.Sequence)
	f.Bundles = append(f.Bundles, p.bundles.next(w.key.TenantID, fact))
	f.Parts = append(f.Parts, mq.Bundled(fact.Envelope))
}
