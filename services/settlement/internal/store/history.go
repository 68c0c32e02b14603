package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// BalanceAsOf returns what was posted to an account at or before a time; its
// pending sums are zero. It returns ErrNotFound. A time ahead of
// the clock of those who book has no end yet.
func (s *Store) BalanceAsOf(ctx context.Context, tenantID, accountID string, at time.Time) (ledger.Balance, error) {
	account, err := s.AccountByID(ctx, tenantID, accountID)
	if err != nil {
		return ledger.Balance{}, err
	}
	balance := ledger.ZeroBalance(account.Currency)
	row, err := s.queries().HistoryAt(ctx, settlementdb.HistoryAtParams{Account: account.Number, At: at.UnixMicro()})
	if errors.Is(err, sql.ErrNoRows) {
		return balance, nil
	}
	balance.DebitsPosted.Minor, balance.CreditsPosted.Minor = row.Debits, row.Credits
	return balance, err
}
