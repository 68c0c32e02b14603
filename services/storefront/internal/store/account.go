package store

import (
	"context"
	"time"

	storefrontdb "github.com/backlot-video/backlot/sql/gen/storefront"
)

// Account is a person's.
type Account struct {
	ID, TenantID string
	Role         int // number of storefront.v1.Role
	Email        string
	SecretHash   string // empty: cannot sign in
	DisplayName  string
	Country      string
	ExternalRef  string
	CreatedAt    time.Time
}

// InsertAccount returns false where the e-mail address or external
// reference is taken.
func (t Tx) InsertAccount(ctx context.Context, a Account) (bool, error) {
	n, err := t.queries.InsertAccount(ctx, storefrontdb.InsertAccountParams{
		ID: a.ID, TenantID: a.TenantID, Role: int32(a.Role), Email: a.Email, SecretHash: a.SecretHash,
		DisplayName: a.DisplayName, Country: a.Country, ExternalRef: a.ExternalRef, CreatedAt: micros(a.CreatedAt),
	})
	return n == 1, err
}

// AccountByExternalRef finds an imported account.
func (t Tx) AccountByExternalRef(ctx context.Context, tenant, ref string) (Account, error) {
	row, err := t.queries.GetAccountByExternalRef(ctx, storefrontdb.GetAccountByExternalRefParams{TenantID: tenant, ExternalRef: ref})
	return account(row), notFound(err)
}

// Account finds an account by its id.
func (s *Store) Account(ctx context.Context, tenant, id string) (Account, error) {
	row, err := s.read().GetAccount(ctx, storefrontdb.GetAccountParams{TenantID: tenant, ID: id})
	return account(row), notFound(err)
}

// AccountByEmail finds an account by its e-mail address in lower case.
func (s *Store) AccountByEmail(ctx context.Context, tenant, email string) (Account, error) {
	row, err := s.read().GetAccountByEmail(ctx, storefrontdb.GetAccountByEmailParams{TenantID: tenant, Email: email})
	return account(row), notFound(err)
}

// AccountByExternalRef finds an imported account.
func (s *Store) AccountByExternalRef(ctx context.Context, tenant, ref string) (Account, error) {
	row, err := s.read().GetAccountByExternalRef(ctx, storefrontdb.GetAccountByExternalRefParams{TenantID: tenant, ExternalRef: ref})
	return account(row), notFound(err)
}

func account(row storefrontdb.Account) Account {
	return Account{
		ID: row.ID, TenantID: row.TenantID, Role: int(row.Role), Email: row.Email, SecretHash: row.SecretHash,
		DisplayName: row.DisplayName, Country: row.Country, ExternalRef: row.ExternalRef, CreatedAt: fromMicros(row.CreatedAt),
	}
}
