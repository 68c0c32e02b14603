package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/credential"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
)

// OperatorRef is the external reference of the first operator.
const OperatorRef = "backlot:operator"

var (
	beforeSignUp = crashpoint.New("storefront/sign-up/before")
	afterSignUp  = crashpoint.New("storefront/sign-up/after")
)

// Accounts implements storefrontv1.AccountServiceServer.
type Accounts struct {
	Store     *store.Store
	Passwords *credential.Passwords
	Signer    *token.Signer
	Clock     func() time.Time
	TokenLife time.Duration
}

var _ storefrontv1.AccountServiceServer = (*Accounts)(nil)

// SignUp implements the contract.
func (a *Accounts) SignUp(ctx context.Context, req *storefrontv1.SignUpRequest) (*storefrontv1.SignUpResponse, error) {
	hash, err := a.Passwords.Hash(ctx, req.GetPassword())
	if err != nil {
		return nil, err
	}
	account := store.Account{
		ID: newID(), TenantID: identity.Tenant(ctx), Role: int(req.GetRole()), Email: strings.ToLower(req.GetEmail()),
		SecretHash: hash, DisplayName: req.GetDisplayName(), Country: req.GetCountry(), CreatedAt: a.Clock(),
	}
	beforeSignUp.Hit()
	err = a.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		inserted, err := tx.InsertAccount(ctx, account)
		if err == nil && !inserted {
			return connect.NewError(connect.CodeAlreadyExists, errors.New("email: an account with this address exists; sign in instead"))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	afterSignUp.Hit()
	signed, err := a.token(account)
	if err != nil {
		return nil, err
	}
	return &storefrontv1.SignUpResponse{Account: accountMessage(account), Token: signed}, nil
}

// SignIn implements the contract.
func (a *Accounts) SignIn(ctx context.Context, req *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	var account store.Account
	var err error
	if key := req.GetOperatorKey(); key != "" {
		account, err = a.Store.AccountByExternalRef(ctx, identity.Tenant(ctx), OperatorRef)
		if err == nil {
			err = credential.CheckKey(key, account.SecretHash)
		}
	} else {
		account, err = a.byPassword(ctx, req.GetPassword())
	}
	if err != nil {
		return nil, coded(err, "credential")
	}
	signed, err := a.token(account)
	if err != nil {
		return nil, err
	}
	return &storefrontv1.SignInResponse{Account: accountMessage(account), Token: signed}, nil
}

// byPassword takes as long for an address that is not known.
func (a *Accounts) byPassword(ctx context.Context, c *storefrontv1.PasswordCredential) (store.Account, error) {
	account, err := a.Store.AccountByEmail(ctx, identity.Tenant(ctx), strings.ToLower(c.GetEmail()))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Account{}, err
	}
	return account, a.Passwords.Check(ctx, c.GetPassword(), account.SecretHash)
}

// GetAccount implements the contract.
func (a *Accounts) GetAccount(ctx context.Context, req *storefrontv1.GetAccountRequest) (*storefrontv1.GetAccountResponse, error) {
	caller, _ := identity.From(ctx)
	id := req.GetAccountId()
	if id == "" {
		id = caller.ID
	}
	if id != caller.ID && !trusted(caller) {
		return nil, coded(store.ErrNotFound, "account_id")
	}
	account, err := a.Store.Account(ctx, caller.TenantID, id)
	if err != nil {
		return nil, coded(err, "account_id")
	}
	return &storefrontv1.GetAccountResponse{Account: accountMessage(account)}, nil
}

// ImportAccounts implements the contract.
func (a *Accounts) ImportAccounts(ctx context.Context, req *storefrontv1.ImportAccountsRequest) (*storefrontv1.ImportAccountsResponse, error) {
	response := &storefrontv1.ImportAccountsResponse{}
	tenant := identity.Tenant(ctx)
	err := a.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		response.Accounts = nil
		for _, in := range req.GetAccounts() {
			account := store.Account{
				ID: newID(), TenantID: tenant, Role: int(in.GetRole()), DisplayName: in.GetDisplayName(),
				Country: in.GetCountry(), ExternalRef: in.GetExternalRef(), CreatedAt: a.Clock(),
			}
			inserted, err := tx.InsertAccount(ctx, account)
			if err == nil && !inserted {
				account, err = tx.AccountByExternalRef(ctx, tenant, in.GetExternalRef())
			}
			if err != nil {
				return err
			}
			response.Accounts = append(response.Accounts, accountMessage(account))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// EnsureOperator makes the operator's account at the first start, with the
// key of the data folder.
func (a *Accounts) EnsureOperator(ctx context.Context, key string) error {
	return a.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.InsertAccount(ctx, store.Account{
			ID: newID(), TenantID: identity.DefaultTenant, Role: int(storefrontv1.Role_ROLE_OPERATOR),
			SecretHash: credential.HashKey(key), DisplayName: "operator", ExternalRef: OperatorRef, CreatedAt: a.Clock(),
		})
		return err
	})
}

var kinds = map[storefrontv1.Role]identity.Kind{
	storefrontv1.Role_ROLE_VIEWER:   identity.Viewer,
	storefrontv1.Role_ROLE_CREATOR:  identity.Creator,
	storefrontv1.Role_ROLE_OPERATOR: identity.Operator,
}

func (a *Accounts) token(account store.Account) (*storefrontv1.Token, error) {
	expires := a.Clock().Add(a.TokenLife)
	text, err := a.Signer.Token(identity.Principal{
		Kind: kinds[storefrontv1.Role(account.Role)], ID: account.ID, TenantID: account.TenantID, Expires: expires,
	})
	if err != nil {
		return nil, err
	}
	return &storefrontv1.Token{AccessToken: text, ExpiresAt: expires.UnixMicro()}, nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// trusted callers may look at what belongs to others.
func trusted(p identity.Principal) bool {
	return p.Kind == identity.Operator || p.Kind == identity.Service
}
