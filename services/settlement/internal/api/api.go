// Package api serves settlement.v1 and settlement's part in global
// transactions, and turns messages into the ledger's types and back.
//
//	api.go          the handlers of LedgerService
//	booking.go      BookingService: transfers of clients' own
//	refund.go       RefundSale
//	statement.go    GetStatement
//	payout.go       PayoutService
//	reconciliation.go  ReconciliationService: settlement files
//	difference.go   its differences of orders, transactions and transfers
//	participant.go  the branches `pay`, `refund` and `chargeback`
//	convert.go      messages to and from the ledger's types
//	errors.go       which code an error gets
//	fact.go         the fact that a transfer was posted
//
// Everything belongs to the caller's tenant. Access by kind of principal,
// deadlines and the contract's field rules are the chain's duty (kit/rpc);
// whose wallet a person may see is decided here.
package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

const defaultPage = 50

// Ledger implements settlementv1.LedgerServiceServer.
type Ledger struct {
	store   *store.Store
	engine  *engine.Engine
	cashier *cashier.Cashier
}

var _ settlementv1.LedgerServiceServer = (*Ledger)(nil)

// New makes a Ledger.
func New(store *store.Store, engine *engine.Engine, cashier *cashier.Cashier) *Ledger {
	return &Ledger{store: store, engine: engine, cashier: cashier}
}

// TopUp brings money in for the caller's own wallet.
func (l *Ledger) TopUp(ctx context.Context, req *settlementv1.TopUpRequest) (*settlementv1.TopUpResponse, error) {
	caller, err := person(ctx)
	if err != nil {
		return nil, err
	}
	amount, err := money.FromProto(req.GetAmount())
	if err != nil {
		return nil, field("amount", err)
	}
	t, err := l.cashier.TopUp(ctx, caller.TenantID, caller.ID, req.GetIdempotencyKey(), amount)
	if err != nil {
		return nil, coded(err)
	}
	available, _, err := l.wallet(ctx, caller.TenantID, caller.ID, amount.Currency)
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.TopUpResponse{Transfer: transferMessage(&t), Balance: available.ToProto()}, nil
}

// GetWallet shows the caller's own wallet, or to an operator anybody's.
func (l *Ledger) GetWallet(ctx context.Context, req *settlementv1.GetWalletRequest) (*settlementv1.GetWalletResponse, error) {
	caller, err := person(ctx)
	if err != nil {
		return nil, err
	}
	owner := caller.ID
	if caller.Kind == identity.Operator {
		owner = req.GetOwnerId()
		if owner == "" {
			return nil, field("owner_id", errors.New("operators have no wallet, name its owner"))
		}
	} else if req.GetOwnerId() != "" && req.GetOwnerId() != caller.ID {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("owner_id: only your own wallet"))
	}
	if err := (money.Amount{Currency: req.GetCurrency()}).Validate(); err != nil {
		return nil, field("currency", err)
	}
	available, held, err := l.wallet(ctx, caller.TenantID, owner, req.GetCurrency())
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.GetWalletResponse{Available: available.ToProto(), Pending: held.ToProto()}, nil
}

// wallet is what is in a wallet; nothing where it was never opened.
func (l *Ledger) wallet(ctx context.Context, tenantID, owner, currency string) (available, held money.Amount, err error) {
	account, found, err := l.store.Account(ctx, tenantID, owner, ledger.Wallet, currency)
	if err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	if !found {
		return money.Amount{Currency: currency}, money.Amount{Currency: currency}, nil
	}
	available, err = account.Available()
	return available, account.Held(), err
}

// ListAccounts returns a page of accounts in the order of their opening.
func (l *Ledger) ListAccounts(
	ctx context.Context, req *settlementv1.ListAccountsRequest,
) (*settlementv1.ListAccountsResponse, error) {
	page := pageOf(req)
	accounts, err := l.store.Accounts(ctx, identity.Tenant(ctx), req.GetOwnerId(), page)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListAccountsResponse{}
	for _, account := range accounts {
		response.Accounts = append(response.Accounts, accountMessage(account))
	}
	if len(accounts) == page.Limit {
		response.NextPageToken = accounts[page.Limit-1].ID
	}
	return response, nil
}

// GetTransfer returns one transfer.
func (l *Ledger) GetTransfer(
	ctx context.Context, req *settlementv1.GetTransferRequest,
) (*settlementv1.GetTransferResponse, error) {
	t, err := l.store.Transfer(ctx, identity.Tenant(ctx), req.GetTransferId())
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.GetTransferResponse{Transfer: transferMessage(&t)}, nil
}

// ListTransfers returns a page of transfers in the order of their booking.
func (l *Ledger) ListTransfers(
	ctx context.Context, req *settlementv1.ListTransfersRequest,
) (*settlementv1.ListTransfersResponse, error) {
	page := pageOf(req)
	transfers, err := l.store.Transfers(ctx, identity.Tenant(ctx), req.GetReference(), page)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListTransfersResponse{}
	for _, t := range transfers {
		response.Transfers = append(response.Transfers, transferMessage(&t))
	}
	if len(transfers) == page.Limit {
		response.NextPageToken = transfers[page.Limit-1].ID
	}
	return response, nil
}

// VerifyLedger recomputes the tenant's ledgers.
func (l *Ledger) VerifyLedger(
	ctx context.Context, _ *settlementv1.VerifyLedgerRequest,
) (*settlementv1.VerifyLedgerResponse, error) {
	report, err := l.store.Verify(ctx, identity.Tenant(ctx))
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.VerifyLedgerResponse{
		Ok: len(report.Faults) == 0, Faults: report.Faults, Transfers: report.Transfers,
	}
	for _, head := range report.Heads {
		response.Heads = append(response.Heads, &settlementv1.LedgerHead{
			Currency: head.Currency, Sequence: head.Sequence, Hash: head.Hash[:],
		})
	}
	return response, nil
}

// person is the caller, who must be somebody.
func person(ctx context.Context) (identity.Principal, error) {
	caller, known := identity.From(ctx)
	if !known || caller.ID == "" {
		return identity.Principal{}, connect.NewError(connect.CodeUnauthenticated, errors.New("sign in first"))
	}
	return caller, nil
}

// pageOf reads a page's size and place. A token is the last id seen; any text
// is a place in the order of ids, so there is nothing to refuse.
func pageOf(req interface {
	GetPageSize() int32
	GetPageToken() string
},
) store.Page {
	page := store.Page{After: req.GetPageToken(), Limit: int(req.GetPageSize())}
	if page.Limit == 0 {
		page.Limit = defaultPage
	}
	return page
}
