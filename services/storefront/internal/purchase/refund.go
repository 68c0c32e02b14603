package purchase

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/tcc"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
)

// Refund takes a paid order back: the money by settlement's branch, the
// entitlement by storefront's, which also moves the order. The same key gives
// the same refund; one of an order that is refunded already changes nothing. It
// returns store.ErrNotFound, order.ErrNotPaid, order.ErrRefund with the reason,
// or ErrUnavailable: then ask again with the same key.
func (d *Driver) Refund(ctx context.Context, tenantID, orderID, key string, chargeback bool) (order.Order, error) {
	o, err := d.Store.Order(ctx, tenantID, orderID)
	if err != nil || o.State == order.Refunded {
		return o, err
	}
	if o.State != order.Paid {
		return order.Order{}, order.ErrNotPaid
	}
	request, err := refundOf(o, key, chargeback)
	if err != nil {
		return order.Order{}, err
	}
	response, err := d.Coordinator.Submit(ctx, request)
	if err != nil {
		return order.Order{}, fmt.Errorf("%w: refund order %s: %w", ErrUnavailable, o.ID, err)
	}
	switch transaction := response.GetTransaction(); transaction.GetState() {
	case coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED:
		return d.Store.Order(ctx, tenantID, orderID)
	case coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED:
		return order.Order{}, fmt.Errorf("%w: %s", order.ErrRefund, transaction.GetProblem())
	default:
		return order.Order{}, fmt.Errorf("%w: refund order %s: transaction is %v", ErrUnavailable, o.ID, transaction.GetState())
	}
}

func refundOf(o order.Order, key string, chargeback bool) (*coordinatorv1.SubmitRequest, error) {
	revoke, err1 := anypb.New(&storefrontv1.EntitleBranch{OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID})
	refund, err2 := anypb.New(&settlementv1.RefundBranch{OrderId: o.ID})
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("refund order %s: %w", o.ID, err)
	}
	action := "refund"
	if chargeback {
		action = "chargeback"
	}
	return &coordinatorv1.SubmitRequest{
		Xid: "refund-" + o.ID + "-" + key, Mode: coordinatorv1.Mode_MODE_TCC, Wait: coordinatorv1.Wait_WAIT_CONFIRMED,
		Branches: []*coordinatorv1.BranchSpec{
			{BranchId: "revoke", Service: "storefront", Action: "revoke", Payload: revoke},
			{BranchId: "refund", Service: "settlement", Action: action, Payload: refund},
		},
	}, nil
}

// tryRevoke checks that the order's entitlement is there to be taken back. It
// stays until the refund is certain.
func (d *Driver) tryRevoke(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	current, wanted, err := d.branch(ctx, tx, branch)
	if err != nil {
		return err
	}
	if _, err := order.Revoke(current, wanted); err != nil {
		return tcc.Refuse(err)
	}
	return nil
}

// confirmRevoke takes the entitlement back, moves the order and tells of it. An
// order that another refund has moved is left as it is.
func (d *Driver) confirmRevoke(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	current, wanted, err := d.branch(ctx, tx, branch)
	if err != nil {
		return err
	}
	revoked, err := order.Revoke(current, wanted)
	if errors.Is(err, order.ErrNotPaid) {
		return nil
	}
	if err != nil {
		return err
	}
	rows := store.InTx(tx)
	if err := rows.PutEntitlement(ctx, revoked); err != nil {
		return err
	}
	o, err := rows.Order(ctx, wanted.TenantID, wanted.OrderID)
	if err != nil {
		return err
	}
	o.State, o.UpdatedAt = order.Refunded, d.Clock()
	if moved, err := rows.MoveOrder(ctx, o, order.Paid); err != nil || !moved {
		return errors.Join(err, fmt.Errorf("refund order %s: it is not paid", o.ID))
	}
	return d.Outbox.Add(ctx, tx, o.TenantID, "order_refunded", o.ID, &storefrontv1.OrderRefunded{
		OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID, CreatorId: o.CreatorID, Price: o.Price.ToProto(), Xid: branch.GetXid(),
	})
}
