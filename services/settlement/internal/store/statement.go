package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// PostedAt sums what was posted to an account before a time.
func (s *Store) PostedAt(ctx context.Context, account ledger.Account, at time.Time) (statement.Sums, error) {
	return sumsTo(ctx, s.queries(), account, at, 0)
}

// sumsTo sums what was posted before a time, or at it up to a place in the
// chain.
func sumsTo(
	ctx context.Context, q *settlementdb.Queries, account ledger.Account, at time.Time, sequence int64,
) (statement.Sums, error) {
	row, err := q.HistoryBefore(ctx, settlementdb.HistoryBeforeParams{
		Account: account.Number, Before: at.UnixMicro(), Sequence: sequence,
	})
	if errors.Is(err, sql.ErrNoRows) {
		return statement.Sums{}, nil
	}
	return statement.Sums{Debits: row.Debits, Credits: row.Credits}, err
}

// Statement reads up to limit lines that follow a place of an account over
// [from, to), all of one state of the database.
func (s *Store) Statement(
	ctx context.Context, account ledger.Account, from, to time.Time, after statement.Place, limit int,
) (statement.Statement, error) {
	result := statement.Statement{Account: account, From: from, To: to}
	tx, err := s.snapshot(ctx)
	if err != nil {
		return result, err
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	q := settlementdb.New(tx)
	opening, err := sumsTo(ctx, q, account, from, 0)
	if err != nil {
		return result, err
	}
	closing, err := sumsTo(ctx, q, account, to, 0)
	if err != nil {
		return result, err
	}
	if after.PostedAt.Before(from) {
		after = statement.Place{PostedAt: from}
	}
	before, err := sumsTo(ctx, q, account, after.PostedAt, after.Sequence)
	if err != nil {
		return result, err
	}
	rows, err := q.ListStatement(ctx, settlementdb.ListStatementParams{
		Ledger: account.Number >> 32, Account: account.Number, FromTime: from.UnixMicro(), ToTime: to.UnixMicro(),
		AfterTime: after.PostedAt.UnixMicro(), AfterSequence: after.Sequence, MaxRows: int32(limit) + 1,
	})
	if err != nil {
		return result, err
	}
	result.More = len(rows) > limit
	return fill(result, opening, closing, before, rows[:min(limit, len(rows))])
}

// fill computes balances.
func fill(
	result statement.Statement, opening, closing, before statement.Sums, rows []settlementdb.ListStatementRow,
) (statement.Statement, error) {
	var err error
	if result.Opening, err = statement.Balance(result.Account, opening); err != nil {
		return result, err
	}
	if result.Closing, err = statement.Balance(result.Account, closing); err != nil {
		return result, err
	}
	first, err := statement.Balance(result.Account, before)
	if err != nil {
		return result, err
	}
	entries := make([]statement.Entry, 0, len(rows))
	for _, row := range rows {
		side, amount := ledger.Debit, row.Debits-before.Debits
		if amount == 0 {
			side, amount = ledger.Credit, row.Credits-before.Credits
		}
		before = statement.Sums{Debits: row.Debits, Credits: row.Credits}
		entries = append(entries, statement.Entry{
			PostedAt: timeOf(row.At), Sequence: row.Sequence, TransferID: row.ID, Type: ledger.Type(row.Type),
			Reference: row.Reference, Side: side, Amount: amount,
		})
	}
	result.Lines, err = statement.Lines(result.Account, first, entries)
	return result, err
}
