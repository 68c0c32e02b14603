package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// Report is what a verification found.
type Report struct {
	Faults    []string // at most ledger.MaxFaults
	Transfers int64    // checked: posted and pending
	Heads     []Head
}

// Head is the end of one ledger's chain.
type Head struct {
	Currency string
	ledger.Head
}

// verifyPage is how many rows are read at a time.
const verifyPage = 500

// Verify recomputes all ledgers of a tenant from their postings, on a snapshot
// of the database, while booking goes on. Its time and reading grow with the
// number of transfers; its memory with that of accounts, and by a byte for some
// five transfers that have references.
func (s *Store) Verify(ctx context.Context, tenantID string) (Report, error) {
	var report Report
	err := s.reading(ctx, func(q *settlementdb.Queries) (err error) {
		report, err = s.verifyIn(ctx, q, tenantID)
		return err
	})
	return report, err
}

func (s *Store) verifyIn(ctx context.Context, q *settlementdb.Queries, tenantID string) (Report, error) {
	rows, err := q.ListLedgers(ctx, tenantID)
	if err != nil {
		return Report{}, err
	}
	var report Report
	known, referenced := newKeys(), newReferences(q, tenantID)
	for _, row := range rows {
		head := ledger.Head{Sequence: row.Sequence, Hash: digest(row.Hash)}
		verifier := ledger.NewVerifier(tenantID, row.Currency)
		all := &chain{q: q, number: row.Number, verifier: verifier, keys: known, references: referenced}
		if err := s.verifyLedger(ctx, row, all); err != nil {
			return Report{}, fmt.Errorf("verify ledger %s: %w", row.Currency, err)
		}
		faults, transfers := verifier.Finish(head)
		report.Faults = append(report.Faults, faults...)
		report.Transfers += transfers
		report.Heads = append(report.Heads, Head{Currency: row.Currency, Head: head})
	}
	faults, err := known.check(ctx, q, tenantID)
	if err != nil {
		return Report{}, fmt.Errorf("verify idempotency keys: %w", err)
	}
	report.Faults = append(report.Faults, faults...)
	if faults, err = referenced.check(ctx); err != nil {
		return Report{}, fmt.Errorf("verify references: %w", err)
	}
	report.Faults = append(report.Faults, faults...)
	report.Faults = report.Faults[:min(len(report.Faults), ledger.MaxFaults)]
	return report, nil
}

// reading runs fn with queries of one state of the database.
func (s *Store) reading(ctx context.Context, fn func(q *settlementdb.Queries) error) error {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	return fn(settlementdb.New(tx))
}

// snapshot opens a transaction that sees one state of the database.
func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	if s.db.Dialect() == database.SQLite {
		return s.db.Read().BeginTx(ctx, nil) // SQLite's are snapshots
	}
	return s.db.Read().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

func (s *Store) verifyLedger(ctx context.Context, l settlementdb.Ledger, c *chain) error {
	if err := s.verifyChain(ctx, c); err != nil {
		return err
	}
	q, v := c.q, c.verifier
	for after, more := "", true; more; {
		rows, err := q.ListPending(ctx, settlementdb.ListPendingParams{Ledger: l.Number, AfterID: after, MaxRows: verifyPage})
		pending, err := decodeRows(rows, err)
		if err != nil {
			return err
		}
		page, err := s.named(ctx, q, pending)
		if err != nil {
			return err
		}
		for _, t := range page {
			v.Transfer(t)
			after = t.ID
		}
		more = len(rows) == verifyPage
	}
	rest := &tail{} // as it is stored, whatever is remembered
	if err := rest.reach(ctx, q, l.Number, l.Sequence); err != nil {
		return err
	}
	for after, more := "", true; more; {
		rows, err := q.ListAccounts(ctx, settlementdb.ListAccountsParams{
			TenantID: l.TenantID, AllOwners: 1, AfterID: after, MaxRows: verifyPage,
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.ID
			if row.Currency != l.Currency {
				continue
			}
			account := decodeAccount(settlementdb.GetAccountRow(row))
			rest.settle(&account, l.Sequence)
			v.Account(account)
			if err := verifyHistory(ctx, q, account, rest, v); err != nil {
				return err
			}
		}
		more = len(rows) == verifyPage
	}
	return nil
}

func (s *Store) verifyChain(ctx context.Context, c *chain) error {
	for more := true; more; {
		found, another, err := c.next(ctx)
		if err != nil {
			return err
		}
		page, err := s.named(ctx, c.q, found)
		if err != nil {
			return err
		}
		for _, t := range page {
			c.verifier.Transfer(t)
		}
		more = another
	}
	return nil
}

// verifyHistory gives the verifier all that is kept of an account's postings.
func verifyHistory(ctx context.Context, q *settlementdb.Queries, account ledger.Account, rest *tail, v *ledger.Verifier) error {
	var history ledger.History
	add := func(m move) {
		history.Add(ledger.Move{Account: account.Number, Sequence: m.sequence, Debits: m.debits, Credits: m.credits}, m.at)
	}
	last := place{} // that is in a run
	for more := true; more; {
		rows, err := q.RunsAfter(ctx, settlementdb.RunsAfterParams{
			Account: account.Number, After: last.at, Sequence: last.sequence, MaxRows: verifyPage,
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			moves, err := decodeRun(row)
			if err != nil {
				history.Broken(row.Sequence)
			}
			for _, m := range moves {
				add(m)
			}
			last = place{row.At, row.Sequence}
		}
		more = len(rows) == verifyPage
	}
	for _, m := range rest.moves[account.Number] {
		if m.after(last) {
			add(m)
		}
	}
	v.History(account, history)
	return nil
}
