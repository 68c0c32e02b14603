package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// GetStatement shows an account over a time. Persons see their own accounts.
func (l *Ledger) GetStatement(
	ctx context.Context, req *settlementv1.GetStatementRequest,
) (*settlementv1.GetStatementResponse, error) {
	account, err := l.statedAccount(ctx, req)
	if err != nil {
		return nil, err
	}
	from, to := time.UnixMicro(req.GetFrom()).UTC(), time.UnixMicro(req.GetTo()).UTC()
	if req.GetTo() == 0 {
		to = l.engine.Now()
	}
	if to.Before(from) {
		return nil, field("to", errors.New("must not be before from"))
	}
	after, err := placeOf(req.GetPageToken())
	if err != nil {
		return nil, field("page_token", err)
	}
	page := pageOf(req)
	s, err := l.store.Statement(ctx, account, from, to, after, page.Limit)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.GetStatementResponse{
		Account: accountMessage(account), From: from.UnixMicro(), To: to.UnixMicro(),
		Opening: s.Opening.ToProto(), Closing: s.Closing.ToProto(),
	}
	for _, line := range s.Lines {
		response.Lines = append(response.Lines, &settlementv1.StatementLine{
			PostedAt: line.PostedAt.UnixMicro(), Sequence: line.Sequence, TransferId: line.TransferID, Type: string(line.Type),
			Reference: line.Reference, Amount: line.Amount.ToProto(), Balance: line.Balance.ToProto(),
		})
	}
	if s.More {
		last := s.Lines[len(s.Lines)-1]
		response.NextPageToken = fmt.Sprintf("%d.%d", last.PostedAt.UnixMicro(), last.Sequence)
	}
	return response, nil
}

// statedAccount is the account that a statement is asked of.
func (l *Ledger) statedAccount(ctx context.Context, req *settlementv1.GetStatementRequest) (ledger.Account, error) {
	caller, err := person(ctx)
	if err != nil {
		return ledger.Account{}, err
	}
	private := caller.Kind == identity.Viewer || caller.Kind == identity.Creator
	owner := req.GetOwnerId()
	if private && owner == "" {
		owner = caller.ID
	}
	denied := connect.NewError(connect.CodePermissionDenied, errors.New("only accounts of your own"))
	if private && owner != caller.ID {
		return ledger.Account{}, denied
	}
	if req.GetAccountId() != "" {
		account, err := l.store.AccountByID(ctx, caller.TenantID, req.GetAccountId())
		if private && (errors.Is(err, store.ErrNotFound) || err == nil && account.OwnerID != caller.ID) {
			return ledger.Account{}, denied // what others have is not told
		}
		return account, coded(err)
	}
	if req.GetPurpose() == "" {
		return ledger.Account{}, field("purpose", errors.New("needs either account_id or a purpose and a currency"))
	}
	if err := (money.Amount{Currency: req.GetCurrency()}).Validate(); err != nil {
		return ledger.Account{}, field("currency", err)
	}
	account, found, err := l.store.Account(ctx, caller.TenantID, owner, ledger.Purpose(req.GetPurpose()), req.GetCurrency())
	if err == nil && !found {
		return ledger.Account{}, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("purpose: %q has no account %q in %s", owner, req.GetPurpose(), req.GetCurrency()))
	}
	return account, coded(err)
}

// placeOf reads a page token: time and sequence of the last line seen.
func placeOf(token string) (statement.Place, error) {
	if token == "" {
		return statement.Place{}, nil
	}
	micro, sequence, _ := strings.Cut(token, ".")
	at, err1 := strconv.ParseInt(micro, 10, 64)
	number, err2 := strconv.ParseInt(sequence, 10, 64)
	if err1 != nil || err2 != nil {
		return statement.Place{}, errors.New("is not one that was given out")
	}
	return statement.Place{PostedAt: time.UnixMicro(at).UTC(), Sequence: number}, nil
}
