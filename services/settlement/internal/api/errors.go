package api

import (
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/admission"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	"github.com/backlot-video/backlot/services/settlement/internal/policy"
	"github.com/backlot-video/backlot/services/settlement/internal/reconcile"
	"github.com/backlot-video/backlot/services/settlement/internal/refund"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// codes gives errors of the domain their codes, the first that fits.
var codes = []struct {
	err  error
	code connect.Code
}{
	{ledger.ErrInsufficientFunds, connect.CodeFailedPrecondition},
	{payment.ErrDeclined, connect.CodeFailedPrecondition},
	{policy.ErrUnknown, connect.CodeFailedPrecondition},
	{split.ErrPolicy, connect.CodeFailedPrecondition},
	{split.ErrPrice, connect.CodeInvalidArgument},
	{policy.ErrNotReady, connect.CodeUnavailable},
	{engine.ErrClosed, connect.CodeUnavailable},
	{cashier.ErrConflict, connect.CodeAlreadyExists},
	{ledger.ErrConflict, connect.CodeAlreadyExists},
	{ledger.ErrUnknownAccount, connect.CodeNotFound},
	{ledger.ErrAccountState, connect.CodeFailedPrecondition},
	{ledger.ErrNotEmpty, connect.CodeFailedPrecondition},
	{ledger.ErrState, connect.CodeFailedPrecondition},
	{ledger.ErrLinked, connect.CodeAborted},
	{ledger.ErrLimit, connect.CodeInvalidArgument},
	{refund.ErrSale, connect.CodeFailedPrecondition},
	{refund.ErrNothingLeft, connect.CodeFailedPrecondition},
	{refund.ErrTooMuch, connect.CodeFailedPrecondition},
	{refund.ErrTooMany, connect.CodeFailedPrecondition},
	{payer.ErrNobody, connect.CodeFailedPrecondition},
	{payout.ErrTooMany, connect.CodeFailedPrecondition},
	{payout.ErrState, connect.CodeFailedPrecondition},
	{store.ErrKeyReused, connect.CodeAlreadyExists},
	{store.ErrEnded, connect.CodeFailedPrecondition},
	{reconcile.ErrTooMany, connect.CodeFailedPrecondition},
	{store.ErrNotFound, connect.CodeNotFound},
	{cashier.ErrSale, connect.CodeInvalidArgument},
	{ledger.ErrTransfer, connect.CodeInvalidArgument},
	{ledger.ErrUnbalanced, connect.CodeInvalidArgument},
	{ledger.ErrAccount, connect.CodeInvalidArgument},
	{money.ErrCurrency, connect.CodeInvalidArgument},
	{money.ErrOverflow, connect.CodeInvalidArgument},
}

// retryAfter is when to try again where a ledger's own queue is full: about the
// time that it takes.
const retryAfter = 100 * time.Millisecond

// coded gives an error its code, and where a ledger is busy the time after
// which to try again. Others are passed on: the chain makes them
// Internal without detail.
func coded(err error) error {
	if err == nil {
		return nil
	}
	var refused *admission.Refusal
	if errors.As(err, &refused) {
		code := connect.CodeResourceExhausted
		if refused.Reason == admission.Broken {
			code = connect.CodeUnavailable
		}
		return rpc.RetryLater(code, err, refused.RetryAfter)
	}
	if errors.Is(err, ledger.ErrBusy) {
		return rpc.RetryLater(connect.CodeResourceExhausted, err, retryAfter)
	}
	for _, known := range codes {
		if errors.Is(err, known.err) {
			return connect.NewError(known.code, err)
		}
	}
	return err
}

// field is InvalidArgument that names a field of the request.
func field(name string, err error) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s: %w", name, err))
}
