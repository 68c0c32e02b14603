package api

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tcc"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// PayAction is what a branch that pays for a sale asks for; its payload is
// settlementv1.PayBranch.
const PayAction = "pay"

// Where tests kill the process: within the transaction of each phase, and
// after its commit.
var (
	withinTry     = crashpoint.New("settlement/try/before-commit")
	afterTry      = crashpoint.New("settlement/try/after-commit")
	withinConfirm = crashpoint.New("settlement/confirm/before-commit")
	afterConfirm  = crashpoint.New("settlement/confirm/after-commit")
	withinCancel  = crashpoint.New("settlement/cancel/before-commit")
	afterCancel   = crashpoint.New("settlement/cancel/after-commit")
)

// Actions are settlement's parts in global transactions, for a tcc.Server.
func (l *Ledger) Actions() map[string]tcc.Participant {
	return map[string]tcc.Participant{PayAction: {Try: l.tryPay, Confirm: l.confirmPay, Cancel: l.cancelPay}}
}

// tryPay holds the price in the viewer's wallet.
func (l *Ledger) tryPay(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	sale, err := saleOf(branch)
	if err != nil {
		return err
	}
	if err := l.cashier.Hold(ctx, l.store.In(tx), sale); err != nil {
		return coded(err)
	}
	withinTry.Hit()
	return nil
}

// confirmPay pays the creator, the platform and the tax.
func (l *Ledger) confirmPay(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	err := l.cashier.Pay(ctx, l.store.In(tx), branch.GetTenantId(), branch.GetXid(), branch.GetBranchId())
	withinConfirm.Hit()
	return err // there is nothing to refuse: any error is a fault
}

// cancelPay gives the price back to the wallet.
func (l *Ledger) cancelPay(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	err := l.cashier.Release(ctx, l.store.In(tx), branch.GetTenantId(), branch.GetXid(), branch.GetBranchId())
	withinCancel.Hit()
	return err
}

// saleOf reads the payload of a branch.
func saleOf(branch *tccv1.Branch) (cashier.Sale, error) {
	var pay settlementv1.PayBranch
	if branch.GetPayload() == nil {
		return cashier.Sale{}, field("payload", errors.New("it is missing"))
	}
	if err := branch.GetPayload().UnmarshalTo(&pay); err != nil {
		return cashier.Sale{}, field("payload", err)
	}
	price, err := money.FromProto(pay.GetPrice())
	if err != nil {
		return cashier.Sale{}, field("payload.price", err)
	}
	return cashier.Sale{
		TenantID: branch.GetTenantId(), XID: branch.GetXid(), BranchID: branch.GetBranchId(),
		OrderID: pay.GetOrderId(), ViewerID: pay.GetViewerId(), CreatorID: pay.GetCreatorId(),
		AffiliateID: pay.GetAffiliateId(), Price: price, SplitPolicy: pay.GetSplitPolicy(),
	}, nil
}

// Participant is a tcc.Server before which branches queue for their ledger,
// and whose process tests may kill after a commit.
type Participant struct {
	server *tcc.Server
	store  *store.Store
}

var _ tccv1.ParticipantServiceServer = Participant{}

// NewParticipant makes a Participant.
func NewParticipant(server *tcc.Server, store *store.Store) Participant {
	return Participant{server: server, store: store}
}

// Try implements tccv1.ParticipantServiceServer.
func (p Participant) Try(ctx context.Context, req *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	defer afterTry.Hit()
	return inTurn(ctx, p.store, req, p.server.Try)
}

// Confirm implements tccv1.ParticipantServiceServer.
func (p Participant) Confirm(ctx context.Context, req *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	defer afterConfirm.Hit()
	return inTurn(ctx, p.store, req, p.server.Confirm)
}

// Cancel implements tccv1.ParticipantServiceServer.
func (p Participant) Cancel(ctx context.Context, req *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	defer afterCancel.Hit()
	return inTurn(ctx, p.store, req, p.server.Cancel)
}

// inTurn calls one phase when it is the branch's turn at its ledger. What has
// no ledger needs no turn: it is refused, or a rollback of nothing.
func inTurn[Req interface{ GetBranch() *tccv1.Branch }, Res any](
	ctx context.Context, s *store.Store, req Req, call func(context.Context, Req) (Res, error),
) (Res, error) {
	if sale, err := saleOf(req.GetBranch()); err == nil {
		done, err := s.Turn(ctx, sale.TenantID, sale.Price.Currency)
		if err != nil {
			var none Res
			return none, coded(err)
		}
		defer done()
	}
	return call(ctx, req)
}
