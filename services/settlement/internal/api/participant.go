package api

import (
	"context"
	"database/sql"
	"errors"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tcc"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
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

// plan is what a phase of a branch asks of a ledger. It returns an error where
// it cannot tell which ledger that is.
type plan func(ctx context.Context, branch *tccv1.Branch, phase tcc.Phase) (engine.Call, error)

// plans are settlement's parts in global transactions, by action.
func (l *Ledger) plans() map[string]plan {
	return map[string]plan{
		PayAction: l.planPay, RefundAction: l.planRefund(ledger.Refund), ChargebackAction: l.planRefund(ledger.Chargeback),
	}
}

// planPay holds the price in the viewer's wallet, pays the creator, the
// platform and the tax, or gives the price back.
func (l *Ledger) planPay(ctx context.Context, branch *tccv1.Branch, phase tcc.Phase) (engine.Call, error) {
	sale, err := saleOf(branch)
	if phase != tcc.Try {
		return l.planEnd(ctx, branch, phase, sale.Price.Currency)
	}
	if err != nil {
		return engine.Call{}, err
	}
	call := l.cashier.Hold(ctx, sale)
	call.Within = withinTry.Hit
	return call, nil
}

// planRefund takes a sale's money back from those who got it.
func (l *Ledger) planRefund(kind ledger.Type) plan {
	return func(ctx context.Context, branch *tccv1.Branch, phase tcc.Phase) (engine.Call, error) {
		r, err := refundOf(branch, kind)
		if phase != tcc.Try {
			return l.planEnd(ctx, branch, phase, "")
		}
		if err != nil {
			return engine.Call{}, err
		}
		currency, err := l.cashier.CurrencyOf(ctx, r)
		if err != nil {
			return engine.Call{}, coded(err)
		}
		return engine.Call{TenantID: r.TenantID, Currency: currency, Within: withinTry.Hit, Work: func(ctx context.Context, tx *engine.Tx) error {
			_, err := l.cashier.HoldRefund(ctx, tx, r)
			return err
		}}, nil
	}
}

// planEnd gives what is held to those who get it, or back to where it was. The
// ledger's currency may be known.
func (l *Ledger) planEnd(ctx context.Context, branch *tccv1.Branch, phase tcc.Phase, currency string) (engine.Call, error) {
	if currency == "" {
		held, err := l.cashier.Held(ctx, branch.GetTenantId(), branch.GetXid(), branch.GetBranchId())
		if err != nil {
			return engine.Call{}, err
		}
		currency = held.Currency
	}
	end, within := l.cashier.Pay, withinConfirm.Hit
	if phase == tcc.Cancel {
		end, within = l.cashier.Release, withinCancel.Hit
	}
	call := end(branch.GetTenantId(), currency, branch.GetXid(), branch.GetBranchId())
	call.Within = within
	return call, nil
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

// Participant serves settlement's branches: what a phase books and the
// barrier's row are written together, in a batch of the ledger.
type Participant struct {
	engine *engine.Engine
	plans  map[string]plan
	server *tcc.Server // of branches without a ledger: they are refused, or a rollback of nothing
}

var _ tccv1.ParticipantServiceServer = Participant{}

// NewParticipant makes a Participant.
func NewParticipant(l *Ledger, db *database.DB, cfg tcc.Config) Participant {
	plans, actions := l.plans(), make(map[string]tcc.Participant)
	for action, plan := range plans {
		work := func(phase tcc.Phase) tcc.Work {
			return func(ctx context.Context, _ *sql.Tx, branch *tccv1.Branch) error {
				if _, err := plan(ctx, branch, phase); err != nil {
					return err
				}
				return errors.New("the branch has a ledger now") // ask again
			}
		}
		actions[action] = tcc.Participant{Try: work(tcc.Try), Confirm: work(tcc.Confirm), Cancel: work(tcc.Cancel)}
	}
	return Participant{engine: l.engine, plans: plans, server: tcc.NewServer(db, actions, cfg)}
}

// Try implements tccv1.ParticipantServiceServer.
func (p Participant) Try(ctx context.Context, req *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	defer afterTry.Hit()
	if call, ours := p.call(ctx, req.GetBranch(), tcc.Try); ours {
		return &tccv1.TryResponse{}, p.do(ctx, call)
	}
	return p.server.Try(ctx, req)
}

// Confirm implements tccv1.ParticipantServiceServer.
func (p Participant) Confirm(ctx context.Context, req *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	defer afterConfirm.Hit()
	if call, ours := p.call(ctx, req.GetBranch(), tcc.Confirm); ours {
		return &tccv1.ConfirmResponse{}, p.do(ctx, call)
	}
	return p.server.Confirm(ctx, req)
}

// Cancel implements tccv1.ParticipantServiceServer.
func (p Participant) Cancel(ctx context.Context, req *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	defer afterCancel.Hit()
	if call, ours := p.call(ctx, req.GetBranch(), tcc.Cancel); ours {
		return &tccv1.CancelResponse{}, p.do(ctx, call)
	}
	return p.server.Cancel(ctx, req)
}

// call is what a phase asks of a ledger, if it has one.
func (p Participant) call(ctx context.Context, branch *tccv1.Branch, phase tcc.Phase) (engine.Call, bool) {
	plan, known := p.plans[branch.GetAction()]
	if !known {
		return engine.Call{}, false
	}
	call, err := plan(ctx, branch, phase)
	call.Guard = &engine.Guard{Branch: branch, Phase: phase}
	return call, err == nil
}

func (p Participant) do(ctx context.Context, call engine.Call) error {
	err := p.engine.Guarded(ctx, call)
	// Of Confirm and Cancel there is nothing to refuse: any error is a fault.
	if call.Guard.Phase == tcc.Try || errors.Is(err, ledger.ErrBusy) || errors.Is(err, engine.ErrClosed) {
		err = coded(err)
	}
	return p.server.Coded(ctx, call.Guard.Branch, call.Guard.Phase, err)
}
