package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
	"github.com/backlot-video/backlot/sql/gen/settlementpg"
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
	all, err := s.readAccounts(ctx, func(q *settlementdb.Queries) ([]settlementdb.GetAccountRow, error) {
		row, err := q.FindAccount(ctx, settlementdb.FindAccountParams{
			TenantID: tenantID, OwnerID: ownerID, Purpose: string(purpose), Currency: currency,
		})
		return []settlementdb.GetAccountRow{settlementdb.GetAccountRow(row)}, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Account{}, false, nil
	}
	if err != nil {
		return ledger.Account{}, false, err
	}
	return all[0], true, nil
}

// Accounts lists a tenant's accounts, of one owner where ownerID is not empty.
func (s *Store) Accounts(ctx context.Context, tenantID, ownerID string, page Page) ([]ledger.Account, error) {
	return s.readAccounts(ctx, func(q *settlementdb.Queries) ([]settlementdb.GetAccountRow, error) {
		rows, err := q.ListAccounts(ctx, settlementdb.ListAccountsParams{
			TenantID: tenantID, OwnerID: ownerID, AllOwners: flag(ownerID == ""), AfterID: page.After, MaxRows: int32(page.Limit),
		})
		return accountRows(rows), err
	})
}

// AccountByID returns an account by id, or ErrNotFound.
func (s *Store) AccountByID(ctx context.Context, tenantID, id string) (ledger.Account, error) {
	all, err := s.readAccounts(ctx, func(q *settlementdb.Queries) ([]settlementdb.GetAccountRow, error) {
		row, err := q.GetAccount(ctx, settlementdb.GetAccountParams{TenantID: tenantID, ID: id})
		return []settlementdb.GetAccountRow{row}, err
	})
	if err != nil {
		return ledger.Account{}, fmt.Errorf("account %s: %w", id, notFound(err))
	}
	return all[0], nil
}

// Transfer returns a transfer by id, or ErrNotFound.
func (s *Store) Transfer(ctx context.Context, tenantID, id string) (ledger.Transfer, error) {
	one, err := byID(ctx, s.queries(), tenantID, id)
	return s.one(ctx, one, err)
}

// Find returns the transfer with this idempotency key, or ErrNotFound.
func (s *Store) Find(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	one, err := byKey(ctx, s.queries(), tenantID, idempotencyKey)
	return s.one(ctx, one, err)
}

func (s *Store) one(ctx context.Context, one stored, err error) (ledger.Transfer, error) {
	if err != nil {
		return ledger.Transfer{}, notFound(err)
	}
	all, err := s.named(ctx, s.queries(), []stored{one})
	if err != nil {
		return ledger.Transfer{}, err
	}
	return all[0], nil
}

// Transfers lists a tenant's transfers, of one reference where it is not
// empty.
func (s *Store) Transfers(ctx context.Context, tenantID, reference string, page Page) (list []ledger.Transfer, err error) {
	err = s.reading(ctx, func(q *settlementdb.Queries) error {
		if reference == "" {
			list, err = s.list(ctx, q, tenantID, page)
		} else {
			list, err = s.listOf(ctx, q, tenantID, reference, page)
		}
		return err
	})
	return list, err
}

// PendingOf lists pending transfers of a type, of all tenants.
func (s *Store) PendingOf(ctx context.Context, kind ledger.Type, page Page) ([]ledger.Transfer, error) {
	rows, err := s.queries().ListPendingOfType(ctx, settlementdb.ListPendingOfTypeParams{
		Type: string(kind), AfterID: page.After, MaxRows: int32(page.Limit),
	})
	pending, err := decodeRows(rows, err)
	if err != nil {
		return nil, err
	}
	return s.named(ctx, s.queries(), pending)
}

// Expired is a pending transfer whose time is over.
type Expired struct{ TenantID, Currency, ID string }

// Expired lists pending transfers of all tenants whose time is over, the
// oldest first.
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]Expired, error) {
	rows, err := s.queries().ListExpired(ctx, settlementdb.ListExpiredParams{Now: now.UnixMicro(), MaxRows: int32(limit)})
	all := make([]Expired, 0, len(rows))
	for _, row := range rows {
		all = append(all, Expired{row.TenantID, row.Currency, row.ID})
	}
	return all, err
}

// accountRow is an account as any of the queries gives it.
type accountRow interface {
	settlementdb.ListAccountsRow | settlementdb.ListAccountsOfRow | settlementpg.FindAccountsRow | settlementpg.GetAccountsRow
}

func accountRows[Row accountRow](rows []Row) []settlementdb.GetAccountRow {
	all := make([]settlementdb.GetAccountRow, len(rows))
	for i, row := range rows {
		all[i] = settlementdb.GetAccountRow(row)
	}
	return all
}
