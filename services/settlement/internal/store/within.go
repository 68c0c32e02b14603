package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// SQL is the transaction itself, for rows that are kept beside the ledgers.
func (x *Tx) SQL() *sql.Tx { return x.tx }

// Account returns the account of an owner as it is in the transaction, or false
// where it was never opened.
func (x *Tx) Account(
	ctx context.Context, tenantID, ownerID string, purpose ledger.Purpose, currency string,
) (account ledger.Account, found bool, err error) {
	row, err := x.q.FindAccount(ctx, settlementdb.FindAccountParams{
		TenantID: tenantID, OwnerID: ownerID, Purpose: string(purpose), Currency: currency,
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Account{}, false, nil
	}
	return decodeAccount(row), err == nil, err
}

// ByReference returns the first transfers of a reference, at most limit.
func (x *Tx) ByReference(ctx context.Context, tenantID, reference string, limit int) ([]ledger.Transfer, error) {
	rows, err := x.q.ListTransfers(ctx, settlementdb.ListTransfersParams{
		TenantID: tenantID, Reference: reference, MaxRows: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	transfers := make([]ledger.Transfer, 0, len(rows))
	for _, row := range rows {
		t, err := withPostings(ctx, x.q, row)
		if err != nil {
			return nil, err
		}
		transfers = append(transfers, t)
	}
	return transfers, nil
}
