package api

import (
	"context"

	"github.com/backlot-video/backlot/kit/identity"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// RefundSale takes a sale back at once.
func (l *Ledger) RefundSale(
	ctx context.Context, req *settlementv1.RefundSaleRequest,
) (*settlementv1.RefundSaleResponse, error) {
	amount, err := amountOrAll(req.GetAmount())
	if err != nil {
		return nil, field("amount", err)
	}
	kind := ledger.Refund
	if req.GetKind() == settlementv1.RefundKind_REFUND_KIND_CHARGEBACK {
		kind = ledger.Chargeback
	}
	t, err := l.cashier.RefundSale(ctx, cashier.Refund{
		TenantID: identity.Tenant(ctx), OrderID: req.GetOrderId(), Amount: amount, Kind: kind, Key: req.GetIdempotencyKey(),
	})
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.RefundSaleResponse{Transfer: transferMessage(&t)}, nil
}
