package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// Page asks for part of a list in order of ids, which is that of making.
type Page struct {
	After string // the last id seen; empty for the beginning
	Limit int
}

// Account returns the account of an owner, or false where it was never opened.
func (s *Store) Account(
	ctx context.Context, tenantID, ownerID string, purpose ledger.Purpose, currency string,
) (account ledger.Account, found bool, err error) {
	row, err := s.queries().FindAccount(ctx, settlementdb.FindAccountParams{
		TenantID: tenantID, OwnerID: ownerID, Purpose: string(purpose), Currency: currency,
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Account{}, false, nil
	}
	return decodeAccount(row), err == nil, err
}

// Accounts lists a tenant's accounts, of one owner where ownerID is not empty.
func (s *Store) Accounts(ctx context.Context, tenantID, ownerID string, page Page) ([]ledger.Account, error) {
	rows, err := s.queries().ListAccounts(ctx, settlementdb.ListAccountsParams{
		TenantID: tenantID, OwnerID: ownerID, AllOwners: flag(ownerID == ""), AfterID: page.After, MaxRows: int32(page.Limit),
	})
	accounts := make([]ledger.Account, 0, len(rows))
	for _, row := range rows {
		accounts = append(accounts, decodeAccount(row))
	}
	return accounts, err
}

// Transfer returns a transfer by id, or ErrNotFound.
func (s *Store) Transfer(ctx context.Context, tenantID, id string) (ledger.Transfer, error) {
	row, err := s.queries().GetTransfer(ctx, settlementdb.GetTransferParams{TenantID: tenantID, ID: id})
	if err != nil {
		return ledger.Transfer{}, notFound(err)
	}
	return withPostings(ctx, s.queries(), row)
}

// Transfers lists a tenant's transfers, of one reference where it is not
// empty.
func (s *Store) Transfers(ctx context.Context, tenantID, reference string, page Page) ([]ledger.Transfer, error) {
	rows, err := s.queries().ListTransfers(ctx, settlementdb.ListTransfersParams{
		TenantID: tenantID, Reference: reference, AllReferences: flag(reference == ""),
		AfterID: page.After, MaxRows: int32(page.Limit),
	})
	if err != nil {
		return nil, err
	}
	return s.whole(ctx, rows)
}

// PendingOf lists pending transfers of a type, of all tenants.
func (s *Store) PendingOf(ctx context.Context, kind ledger.Type, page Page) ([]ledger.Transfer, error) {
	rows, err := s.queries().ListPendingOfType(ctx, settlementdb.ListPendingOfTypeParams{
		Type: string(kind), AfterID: page.After, MaxRows: int32(page.Limit),
	})
	if err != nil {
		return nil, err
	}
	return s.whole(ctx, rows)
}

func (s *Store) whole(ctx context.Context, rows []settlementdb.Transfer) ([]ledger.Transfer, error) {
	transfers := make([]ledger.Transfer, 0, len(rows))
	for _, row := range rows {
		t, err := withPostings(ctx, s.queries(), row)
		if err != nil {
			return nil, err
		}
		transfers = append(transfers, t)
	}
	return transfers, nil
}

func (s *Store) queries() *settlementdb.Queries { return settlementdb.New(s.db.Read()) }
