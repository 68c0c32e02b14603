package api

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tcc"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// What branches may ask for.
const (
	// PayAction pays for a sale; its payload is settlementv1.PayBranch.
	PayAction = "pay"
	// RefundAction gives a sale back to the buyer's wallet, ChargebackAction to
	// the payment provider; their payload is settlementv1.RefundBranch.
	RefundAction     = "refund"
	ChargebackAction = "chargeback"
)

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
	return map[string]tcc.Participant{
		PayAction:        {Try: l.tryPay, Confirm: l.confirmPay, Cancel: l.cancelPay},
		RefundAction:     {Try: l.tryRefund(ledger.Refund), Confirm: l.confirmPay, Cancel: l.cancelPay},
		ChargebackAction: {Try: l.tryRefund(ledger.Chargeback), Confirm: l.confirmPay, Cancel: l.cancelPay},
	}
}

// tryRefund takes a sale's money back from those who got it.
func (l *Ledger) tryRefund(kind ledger.Type) tcc.Work {
	return func(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
		r, err := refundOf(branch, kind)
		if err != nil {
			return err
		}
		if _, err := l.cashier.HoldRefund(ctx, l.store.In(tx), r); err != nil {
			return coded(err)
		}
		withinTry.Hit()
		return nil
	}
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

// confirmPay gives what is held to those who get it.
func (l *Ledger) confirmPay(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	err := l.cashier.Pay(ctx, l.store.In(tx), branch.GetTenantId(), branch.GetXid(), branch.GetBranchId())
	withinConfirm.Hit()
	return err // there is nothing to refuse: any error is a fault
}

// cancelPay gives what is held back to where it was.
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

// refundOf reads the payload of a branch that refunds.
func refundOf(branch *tccv1.Branch, kind ledger.Type) (cashier.Refund, error) {
	var payload settlementv1.RefundBranch
	if branch.GetPayload() == nil {
		return cashier.Refund{}, field("payload", errors.New("it is missing"))
	}
	if err := branch.GetPayload().UnmarshalTo(&payload); err != nil {
		return cashier.Refund{}, field("payload", err)
	}
	amount, err := amountOrAll(payload.GetAmount())
	if err != nil {
		return cashier.Refund{}, field("payload.amount", err)
	}
	return cashier.Refund{
		TenantID: branch.GetTenantId(), OrderID: payload.GetOrderId(), Amount: amount, Kind: kind,
		XID: branch.GetXid(), Key: cashier.BranchKey(branch.GetXid(), branch.GetBranchId()),
	}, nil
}

// amountOrAll is the amount of a refund; none means all that is left.
func amountOrAll(message *moneyv1.Money) (money.Amount, error) {
	if message == nil {
		return money.Amount{}, nil
	}
	return money.FromProto(message)
}

// ledgerOf is the currency of the ledger that a branch books in, false where
// its payload does not tell.
func ledgerOf(branch *tccv1.Branch) (currency string, known bool) {
	if sale, err := saleOf(branch); err == nil {
		return sale.Price.Currency, true
	}
	if r, err := refundOf(branch, ledger.Refund); err == nil && r.Amount.Currency != "" {
		return r.Amount.Currency, true
	}
	return "", false
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
	if currency, known := ledgerOf(req.GetBranch()); known {
		done, err := s.Turn(ctx, req.GetBranch().GetTenantId(), currency)
		if err != nil {
			var none Res
			return none, coded(err)
		}
		defer done()
	}
	return call(ctx, req)
}
