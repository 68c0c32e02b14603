package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// ever is after all places.
var ever = place{math.MaxInt64, math.MaxInt64}

// BalanceAsOf returns what was posted to an account at or before a time; its
// pending sums are zero. It returns ErrNotFound. A time ahead of
// the clock of those who book has no end yet.
func (s *Store) BalanceAsOf(ctx context.Context, tenantID, accountID string, at time.Time) (ledger.Balance, error) {
	account, err := s.AccountByID(ctx, tenantID, accountID)
	if err != nil {
		return ledger.Balance{}, err
	}
	balance := ledger.ZeroBalance(account.Currency)
	err = s.reading(ctx, func(q *settlementdb.Queries) error {
		h, err := s.history(ctx, q, account)
		if err != nil {
			return err
		}
		sums, err := h.sums(ctx, place{at.UnixMicro(), math.MaxInt64})
		balance.DebitsPosted.Minor, balance.CreditsPosted.Minor = sums.Debits, sums.Credits
		return err
	})
	return balance, err
}

// history is the postings of an account in one state of the database.
type history struct {
	store   *Store
	q       *settlementdb.Queries
	account int64
	at      state
}

// history needs a q that reads one state of the database.
func (s *Store) history(ctx context.Context, q *settlementdb.Queries, account ledger.Account) (history, error) {
	head, err := q.GetHead(ctx, account.Number>>32)
	return history{s, q, account.Number, state{head.Sequence, head.SortedTo}}, err
}

// unsorted are the moves after from, the last that is in a run or later, and up
// to a place.
func (h history) unsorted(ctx context.Context, from, to place) (moves []move, err error) {
	err = h.store.tail(ctx, h.q, h.account>>32, h.at, func(t *tail) {
		all := t.upTo(h.account, to, h.at.head)
		begin := len(t.upTo(h.account, from, h.at.head))
		moves = append(moves, all[min(begin, len(all)):]...)
	})
	return moves, err
}

// sums are those after the last posting up to a place.
func (h history) sums(ctx context.Context, p place) (statement.Sums, error) {
	var found []move
	err := h.store.tail(ctx, h.q, h.account>>32, h.at, func(t *tail) {
		if moves := t.upTo(h.account, p, h.at.head); len(moves) > 0 {
			found = append(found, moves[len(moves)-1])
		}
	})
	if err != nil {
		return statement.Sums{}, err
	}
	if len(found) > 0 {
		return statement.Sums{Debits: found[0].debits, Credits: found[0].credits}, nil
	}
	// It may be inside of the run that ends after it.
	rows, err := h.q.RunsAfter(ctx, settlementdb.RunsAfterParams{Account: h.account, After: p.at, Sequence: p.sequence, MaxRows: 1})
	if err != nil {
		return statement.Sums{}, err
	}
	for _, row := range rows {
		moves, err := decodeRun(row)
		if err != nil {
			return statement.Sums{}, err
		}
		for i := len(moves) - 1; i >= 0; i-- {
			if !moves[i].after(p) {
				return statement.Sums{Debits: moves[i].debits, Credits: moves[i].credits}, nil
			}
		}
	}
	row, err := h.q.RunBefore(ctx, settlementdb.RunBeforeParams{Account: h.account, Before: p.at, Sequence: p.sequence})
	if errors.Is(err, sql.ErrNoRows) {
		return statement.Sums{}, nil
	}
	return statement.Sums{Debits: row.Debits, Credits: row.Credits}, err
}

// runsPage is how many runs are read at a time.
const runsPage = 32

// list are the first limit moves after a place, up to another.
func (h history) list(ctx context.Context, after, to place, limit int) (moves []move, err error) {
	from := after
	for more := true; more; {
		rows, err := h.q.RunsAfter(ctx, settlementdb.RunsAfterParams{
			Account: h.account, After: from.at, Sequence: from.sequence, MaxRows: runsPage,
		})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			all, err := decodeRun(row)
			if err != nil {
				return nil, err
			}
			for _, m := range all {
				switch {
				case m.after(to) || len(moves) == limit:
					return moves, nil
				case m.after(after):
					moves = append(moves, m)
				}
			}
			from = place{row.At, row.Sequence}
		}
		more = len(rows) == runsPage
	}
	rest, err := h.unsorted(ctx, from, to)
	return append(moves, rest[:min(len(rest), limit-len(moves))]...), err
}
