package store

import (
	"context"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// PostedAt sums what was posted to an account before a time.
func (s *Store) PostedAt(ctx context.Context, account ledger.Account, at time.Time) (statement.Sums, error) {
	var sums statement.Sums
	err := s.reading(ctx, func(q *settlementdb.Queries) error {
		h, err := s.history(ctx, q, account)
		if err != nil {
			return err
		}
		sums, err = h.sums(ctx, before(at))
		return err
	})
	return sums, err
}

// before is the last place before a time.
func before(at time.Time) place { return place{at.UnixMicro(), 0} }

// Statement reads up to limit lines that follow a place of an account over
// [from, to), all of one state of the database.
func (s *Store) Statement(
	ctx context.Context, account ledger.Account, from, to time.Time, after statement.Place, limit int,
) (statement.Statement, error) {
	result := statement.Statement{Account: account, From: from, To: to}
	err := s.reading(ctx, func(q *settlementdb.Queries) error {
		h, err := s.history(ctx, q, account)
		if err != nil {
			return err
		}
		opening, err := h.sums(ctx, before(from))
		if err != nil {
			return err
		}
		closing, err := h.sums(ctx, before(to))
		if err != nil {
			return err
		}
		begin := place{after.PostedAt.UnixMicro(), after.Sequence}
		if after.PostedAt.Before(from) {
			begin = before(from)
		}
		first, err := h.sums(ctx, begin)
		if err != nil {
			return err
		}
		moves, err := h.list(ctx, begin, before(to), limit+1)
		if err != nil {
			return err
		}
		result.More = len(moves) > limit
		entries, err := h.entries(ctx, first, moves[:min(limit, len(moves))])
		if err != nil {
			return err
		}
		result, err = fill(result, opening, closing, first, entries)
		return err
	})
	return result, err
}

// entries are what a statement says of moves that follow some sums.
func (h history) entries(ctx context.Context, last statement.Sums, moves []move) ([]statement.Entry, error) {
	entries, places := make([]statement.Entry, 0, len(moves)), placeReader{q: h.q, ledger: h.account >> 32}
	for _, m := range moves {
		t, err := places.of(ctx, m.sequence)
		if err != nil {
			return nil, fmt.Errorf("transfer %d of the chain: %w", m.sequence, err)
		}
		side, amount := ledger.Debit, m.debits-last.Debits
		if amount == 0 {
			side, amount = ledger.Credit, m.credits-last.Credits
		}
		last = statement.Sums{Debits: m.debits, Credits: m.credits}
		entries = append(entries, statement.Entry{
			PostedAt: timeOf(m.at), Sequence: m.sequence, TransferID: t.ID, Type: t.Type,
			Reference: t.Reference, Side: side, Amount: amount,
		})
	}
	return entries, nil
}

// fill computes balances.
func fill(
	result statement.Statement, opening, closing, before statement.Sums, entries []statement.Entry,
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
	result.Lines, err = statement.Lines(result.Account, first, entries)
	return result, err
}
