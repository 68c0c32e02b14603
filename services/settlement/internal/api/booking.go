package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/rpc"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Booking implements settlementv1.BookingServiceServer.
type Booking struct {
	store  *store.Store
	engine *engine.Engine
}

var (
	_ settlementv1.BookingServiceServer = (*Booking)(nil)
	_ rpc.Gatekeeper                    = (*Booking)(nil)
)

// NewBooking makes a Booking.
func NewBooking(store *store.Store, engine *engine.Engine) *Booking { return &Booking{store, engine} }

// Admit implements rpc.Gatekeeper: where a ledger is busy, most of what a call
// of many transfers costs is reading it.
func (b *Booking) Admit(ctx context.Context, method *rpcdesc.Method, items int) (admitted context.Context, leave func(), err error) {
	if method.Name != "CreateTransfers" {
		return ctx, func() {}, nil
	}
	admitted, leave, err = b.engine.Look(ctx, identity.Tenant(ctx), items)
	return admitted, leave, coded(err)
}

// clientKey keeps clients' transfers apart from the house's: nobody posts or
// voids by BookingService what a sale or a payout holds.
func clientKey(clientID string) string { return "client/" + clientID }

// houseTypes are the transfers that settlement books by itself, and looks for.
var houseTypes = map[string]bool{
	string(ledger.TopUp): true, string(ledger.Sale): true, string(ledger.Refund): true,
	string(ledger.Chargeback): true, string(ledger.Payout): true, string(ledger.Recovery): true,
}

// errHouse refuses a type of the house's.
var errHouse = fmt.Errorf("%w: the house books these itself, use a word of your own", ledger.ErrTransfer)

// CreateAccounts opens accounts, each on its own.
func (b *Booking) CreateAccounts(
	ctx context.Context, req *settlementv1.CreateAccountsRequest,
) (*settlementv1.CreateAccountsResponse, error) {
	specs := make([]ledger.AccountSpec, len(req.GetAccounts()))
	for i, account := range req.GetAccounts() {
		specs[i] = ledger.AccountSpec{
			ID: account.GetId(), Purpose: ledger.Purpose(account.GetPurpose()), OwnerID: account.GetOwnerId(),
			Currency: account.GetCurrency(), NormalSide: ledger.Side(account.GetNormalSide()), Overdraft: account.GetOverdraft(),
		}
	}
	results := b.engine.Open(ctx, identity.Tenant(ctx), specs)
	response := &settlementv1.CreateAccountsResponse{Results: make([]*settlementv1.AccountResult, len(results))}
	var failures []error
	for i, result := range results {
		item := &settlementv1.AccountResult{Repeated: result.Repeated}
		if result.Err != nil {
			item.Error = itemError(result.Err)
			failures = append(failures, result.Err)
		} else {
			item.Account = accountMessage(result.Account)
		}
		response.Results[i] = item
	}
	return response, whole(failures, len(results))
}

// SetAccountState freezes an account, opens it again, or closes it.
func (b *Booking) SetAccountState(
	ctx context.Context, req *settlementv1.SetAccountStateRequest,
) (*settlementv1.SetAccountStateResponse, error) {
	account, err := b.engine.SetAccountState(ctx, identity.Tenant(ctx), req.GetAccountId(), ledger.AccountState(req.GetState()))
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.SetAccountStateResponse{Account: accountMessage(account)}, nil
}

// CreateTransfers books transfers.
func (b *Booking) CreateTransfers(
	ctx context.Context, req *settlementv1.CreateTransfersRequest,
) (*settlementv1.CreateTransfersResponse, error) {
	tenant := identity.Tenant(ctx)
	requests := make([]ledger.Request, len(req.GetTransfers()))
	for i, transfer := range req.GetTransfers() {
		if houseTypes[transfer.GetType()] {
			return nil, field(fmt.Sprintf("transfers[%d].type", i), fmt.Errorf("%q: %w", transfer.GetType(), errHouse))
		}
		requests[i] = requestOf(tenant, transfer)
	}
	results, err := b.book(ctx, tenant, requests, "transfers[")
	return &settlementv1.CreateTransfersResponse{Results: results}, err
}

// PostTransfers makes pending transfers final.
func (b *Booking) PostTransfers(
	ctx context.Context, req *settlementv1.PostTransfersRequest,
) (*settlementv1.PostTransfersResponse, error) {
	results, err := b.end(ctx, ledger.ActionPost, req.GetClientIds())
	return &settlementv1.PostTransfersResponse{Results: results}, err
}

// VoidTransfers ends pending transfers without effect.
func (b *Booking) VoidTransfers(
	ctx context.Context, req *settlementv1.VoidTransfersRequest,
) (*settlementv1.VoidTransfersResponse, error) {
	results, err := b.end(ctx, ledger.ActionVoid, req.GetClientIds())
	return &settlementv1.VoidTransfersResponse{Results: results}, err
}

func (b *Booking) end(ctx context.Context, action ledger.Action, clientIDs []string) ([]*settlementv1.TransferResult, error) {
	requests := make([]ledger.Request, len(clientIDs))
	for i, id := range clientIDs {
		requests[i] = ledger.Request{Action: action, Target: ledger.Target{IdempotencyKey: clientKey(id)}}
	}
	return b.book(ctx, identity.Tenant(ctx), requests, "client_ids[")
}

// book does requests; list is what their fields' paths begin with.
func (b *Booking) book(
	ctx context.Context, tenant string, requests []ledger.Request, list string,
) ([]*settlementv1.TransferResult, error) {
	results := b.engine.Book(ctx, tenant, requests)
	items := make([]*settlementv1.TransferResult, len(results))
	var failures []error
	memory := make([]settlementv1.TransferResult, len(results)) // in one piece: there are many
	for i := range results {
		result := &results[i]
		items[i] = &memory[i]
		items[i].Repeated = result.Repeated
		if result.Err != nil {
			items[i].Error = itemError(result.Err)
			items[i].Error.Field = clientField(items[i].Error.GetField(), list)
			failures = append(failures, result.Err)
			continue
		}
		items[i].Transfer = clientTransfer(&result.Transfer)
	}
	return items, whole(failures, len(results))
}

// clientTransfer shows the key that the client chose.
func clientTransfer(t *ledger.Transfer) *settlementv1.Transfer {
	message := transferMessage(t)
	message.IdempotencyKey = strings.TrimPrefix(message.GetIdempotencyKey(), clientKey(""))
	return message
}

func requestOf(tenant string, transfer *settlementv1.NewTransfer) ledger.Request {
	request := ledger.Request{
		Action: ledger.ActionBook, Linked: transfer.GetLinked(),
		Draft: ledger.Draft{
			TenantID: tenant, Currency: transfer.GetCurrency(), Type: ledger.Type(transfer.GetType()),
			Reference: transfer.GetReference(), IdempotencyKey: clientKey(transfer.GetClientId()),
			Timeout: transfer.GetTimeout().AsDuration(),
			Lines:   make([]ledger.Line, len(transfer.GetPostings())),
		},
	}
	if transfer.GetPending() {
		request.Action = ledger.ActionPend
	}
	for i, posting := range transfer.GetPostings() {
		request.Draft.Lines[i] = ledger.Line{
			AccountID: posting.GetAccountId(), Purpose: ledger.Purpose(posting.GetPurpose()), OwnerID: posting.GetOwnerId(),
			Side:   ledger.Side(posting.GetSide()),
			Amount: money.Amount{Minor: posting.GetAmount().GetMinor(), Currency: posting.GetAmount().GetCurrency()},
		}
	}
	return request
}

// LookupTransfers finds transfers by their clients' ids.
func (b *Booking) LookupTransfers(
	ctx context.Context, req *settlementv1.LookupTransfersRequest,
) (*settlementv1.LookupTransfersResponse, error) {
	response := &settlementv1.LookupTransfersResponse{}
	for _, id := range req.GetClientIds() {
		t, err := b.store.Find(ctx, identity.Tenant(ctx), clientKey(id))
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, coded(err)
		}
		response.Transfers = append(response.Transfers, clientTransfer(&t))
	}
	return response, nil
}

// GetBalance gives an account's balance, now or as of a time.
func (b *Booking) GetBalance(
	ctx context.Context, req *settlementv1.GetBalanceRequest,
) (*settlementv1.GetBalanceResponse, error) {
	account, err := b.store.AccountByID(ctx, identity.Tenant(ctx), req.GetAccountId())
	if err != nil {
		return nil, coded(&ledger.FieldError{Field: "account_id", Err: err})
	}
	response := &settlementv1.GetBalanceResponse{}
	if req.GetAsOf() != 0 {
		account.Balance, err = b.engine.BalanceAsOf(ctx, identity.Tenant(ctx), account.ID, time.UnixMicro(req.GetAsOf()).UTC())
	} else {
		var available money.Amount
		available, err = account.Available()
		response.Available = available.ToProto()
	}
	if err != nil {
		return nil, coded(err)
	}
	balance, err := statement.Balance(account, statement.Sums{
		Debits: account.Balance.DebitsPosted.Minor, Credits: account.Balance.CreditsPosted.Minor,
	})
	response.Account, response.Balance = accountMessage(account), balance.ToProto()
	return response, coded(err)
}

// itemError is an error of one item. What is a fault of ours says no more than
// that.
func itemError(err error) *settlementv1.ItemError {
	var placed *ledger.FieldError
	item := &settlementv1.ItemError{Message: "internal error", Code: connect.CodeInternal.String()}
	if errors.As(err, &placed) {
		item.Field = placed.Field
		err = placed.Err
	}
	var known *connect.Error
	if errors.As(coded(err), &known) {
		item.Code, item.Message = known.Code().String(), known.Message()
	}
	return item
}

// clientField gives the path of a field as clients know it.
func clientField(path, list string) string {
	path = strings.Replace(path, "transfers[", list, 1)
	for _, names := range []struct{ ours, theirs string }{
		{"].idempotency_key", "].client_id"}, {"].target.client_id", "]"}, {"].target", "]"},
	} {
		path = strings.Replace(path, names.ours, names.theirs, 1)
	}
	if strings.HasSuffix(path, "].account") {
		path += "_id"
	}
	return path
}

// whole is the error of a call whose items all failed for a reason that is none
// of theirs: a busy ledger, a caller that has left, a fault of ours.
func whole(failures []error, items int) error {
	if len(failures) < items || items == 0 {
		return nil
	}
	for _, err := range failures {
		var placed *ledger.FieldError
		if errors.As(err, &placed) || errors.Is(err, ledger.ErrLinked) {
			return nil
		}
	}
	return coded(failures[0])
}
