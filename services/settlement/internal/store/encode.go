package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

func decodeAccount(row settlementdb.Account) ledger.Account {
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: row.Currency} }
	return ledger.Account{
		ID: row.ID, Purpose: ledger.Purpose(row.Purpose), OwnerID: row.OwnerID, Currency: row.Currency,
		NormalSide: ledger.Side(row.NormalSide), Overdraft: row.Overdraft == 1,
		Balance: ledger.Balance{
			DebitsPosted: amount(row.DebitsPosted), CreditsPosted: amount(row.CreditsPosted),
			DebitsPending: amount(row.DebitsPending), CreditsPending: amount(row.CreditsPending),
		},
	}
}

// decodeTransfer makes a transfer without its postings.
func decodeTransfer(row settlementdb.Transfer) ledger.Transfer {
	return ledger.Transfer{
		ID: row.ID, TenantID: row.TenantID, Currency: row.Currency, Type: ledger.Type(row.Type),
		State: ledger.State(row.State), Reference: row.Reference, XID: row.Xid, IdempotencyKey: row.IdempotencyKey,
		SplitPolicy: row.SplitPolicy, CreatedAt: timeOf(row.CreatedAt), EndedAt: timeOf(row.EndedAt),
		Sequence: row.Sequence, Hash: digest(row.Hash),
	}
}

// withPostings makes a whole transfer.
func withPostings(ctx context.Context, q *settlementdb.Queries, row settlementdb.Transfer) (ledger.Transfer, error) {
	t := decodeTransfer(row)
	lines, err := q.ListPostings(ctx, settlementdb.ListPostingsParams{TenantID: row.TenantID, TransferID: row.ID})
	if err != nil {
		return ledger.Transfer{}, err
	}
	for _, line := range lines {
		t.Postings = append(t.Postings, ledger.Posting{
			AccountID: line.AccountID, Side: ledger.Side(line.Side),
			Amount:  money.Amount{Minor: line.Amount, Currency: row.Currency},
			Purpose: ledger.Purpose(line.Purpose), OwnerID: line.OwnerID,
		})
	}
	return t, nil
}

// timeOf is a stored time; 0 is none.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// hashOf is a transfer's hash as it is stored: nothing unless it is posted.
func hashOf(t ledger.Transfer) []byte {
	if t.State != ledger.Posted {
		return []byte{}
	}
	return t.Hash[:]
}

// digest is a stored hash; one of another length is no hash at all.
func digest(raw []byte) (hash [32]byte) {
	if len(raw) == len(hash) {
		copy(hash[:], raw)
	}
	return hash
}

func flag(set bool) int32 {
	if set {
		return 1
	}
	return 0
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
