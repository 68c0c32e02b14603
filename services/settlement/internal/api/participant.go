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
		Price: price, SplitPolicy: pay.GetSplitPolicy(),
	}, nil
}

// Participant is a tcc.Server whose process tests may kill after a commit.
type Participant struct{ Server *tcc.Server }

var _ tccv1.ParticipantServiceServer = Participant{}

// Try implements tccv1.ParticipantServiceServer.
func (p Participant) Try(ctx context.Context, req *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	res, err := p.Server.Try(ctx, req)
	afterTry.Hit()
	return res, err
}

// Confirm implements tccv1.ParticipantServiceServer.
func (p Participant) Confirm(ctx context.Context, req *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	res, err := p.Server.Confirm(ctx, req)
	afterConfirm.Hit()
	return res, err
}

// Cancel implements tccv1.ParticipantServiceServer.
func (p Participant) Cancel(ctx context.Context, req *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	res, err := p.Server.Cancel(ctx, req)
	afterCancel.Hit()
	return res, err
}
