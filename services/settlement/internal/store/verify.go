package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
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
// number of transfers; its memory with that of accounts.
func (s *Store) Verify(ctx context.Context, tenantID string) (Report, error) {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	return verifyIn(ctx, tx, tenantID)
}

func verifyIn(ctx context.Context, tx *sql.Tx, tenantID string) (Report, error) {
	q := settlementdb.New(tx)
	rows, err := q.ListLedgers(ctx, tenantID)
	if err != nil {
		return Report{}, err
	}
	var report Report
	for _, row := range rows {
		head := ledger.Head{Sequence: row.Sequence, Hash: digest(row.Hash)}
		verifier := ledger.NewVerifier(tenantID, row.Currency)
		if err := verifyLedger(ctx, q, tenantID, row.Currency, verifier); err != nil {
			return Report{}, fmt.Errorf("verify ledger %s: %w", row.Currency, err)
		}
		faults, transfers := verifier.Finish(head)
		report.Faults = append(report.Faults, faults...)
		report.Transfers += transfers
		report.Heads = append(report.Heads, Head{Currency: row.Currency, Head: head})
	}
	report.Faults = report.Faults[:min(len(report.Faults), ledger.MaxFaults)]
	return report, nil
}

// snapshot opens a transaction that sees one state of the database.
func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	if s.db.Dialect() == database.SQLite {
		return s.db.Read().BeginTx(ctx, nil) // SQLite's are snapshots
	}
	return s.db.Read().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

func verifyLedger(ctx context.Context, q *settlementdb.Queries, tenantID, currency string, v *ledger.Verifier) error {
	if err := verifyChain(ctx, q, tenantID, currency, v); err != nil {
		return err
	}
	for after, more := "", true; more; {
		rows, err := q.ListPending(ctx, settlementdb.ListPendingParams{
			TenantID: tenantID, Currency: currency, AfterID: after, MaxRows: verifyPage,
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			t, err := withPostings(ctx, q, row)
			if err != nil {
				return err
			}
			v.Transfer(t)
			after = t.ID
		}
		more = len(rows) == verifyPage
	}
	for after, more := "", true; more; {
		rows, err := q.ListAccounts(ctx, settlementdb.ListAccountsParams{
			TenantID: tenantID, AllOwners: 1, AfterID: after, MaxRows: verifyPage,
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			v.Account(decodeAccount(row))
			after = row.ID
		}
		more = len(rows) == verifyPage
	}
	return nil
}

func verifyChain(ctx context.Context, q *settlementdb.Queries, tenantID, currency string, v *ledger.Verifier) error {
	for after, more := int64(0), true; more; {
		rows, err := q.ListChain(ctx, settlementdb.ListChainParams{
			TenantID: tenantID, Currency: currency, AfterSequence: after, MaxRows: verifyPage,
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		last := rows[len(rows)-1].Sequence
		lines, err := q.ListChainPostings(ctx, settlementdb.ListChainPostingsParams{
			TenantID: tenantID, Currency: currency, AfterSequence: after, LastSequence: last,
		})
		if err != nil {
			return err
		}
		postings := make(map[string][]ledger.Posting, len(rows))
		for _, line := range lines {
			postings[line.TransferID] = append(postings[line.TransferID], ledger.Posting{
				AccountID: line.AccountID, Side: ledger.Side(line.Side),
				Amount: money.Amount{Minor: line.Amount, Currency: currency},
			})
		}
		for _, row := range rows {
			t := decodeTransfer(row)
			t.Postings = postings[t.ID]
			v.Transfer(t)
		}
		after, more = last, len(rows) == verifyPage
	}
	return nil
}
