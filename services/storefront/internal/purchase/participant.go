package purchase

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/tcc"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
)

var (
	inTry     = crashpoint.New("storefront/entitle-try/before-commit")
	inConfirm = crashpoint.New("storefront/entitle-confirm/before-commit")
	inCancel  = crashpoint.New("storefront/entitle-cancel/before-commit")
)

// Actions are storefront's branches by name.
func (d *Driver) Actions() map[string]tcc.Participant {
	return map[string]tcc.Participant{
		"entitle": {Try: d.try, Confirm: d.confirm, Cancel: d.cancel},
		"revoke":  {Try: d.tryRevoke, Confirm: d.confirmRevoke}, // there is nothing to cancel
	}
}

// try reserves the entitlement.
func (d *Driver) try(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	current, wanted, err := d.branch(ctx, tx, branch)
	if err != nil {
		return err
	}
	reserved, err := order.Reserve(current, wanted)
	if err != nil {
		return tcc.Refuse(err)
	}
	defer inTry.Hit()
	return store.InTx(tx).PutEntitlement(ctx, reserved)
}

// confirm grants it.
func (d *Driver) confirm(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	defer inConfirm.Hit()
	return d.end(ctx, tx, branch, order.Granted)
}

// cancel releases it.
func (d *Driver) cancel(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
	defer inCancel.Hit()
	return d.end(ctx, tx, branch, order.Released)
}

func (d *Driver) end(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch, state order.EntitlementState) error {
	current, wanted, err := d.branch(ctx, tx, branch)
	if err != nil {
		return err
	}
	if current == nil || current.OrderID != wanted.OrderID || current.State != order.Reserved {
		return fmt.Errorf("entitlement of order %s is not reserved", wanted.OrderID)
	}
	wanted.State = state
	return store.InTx(tx).PutEntitlement(ctx, wanted)
}

func (d *Driver) branch(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) (*order.Entitlement, order.Entitlement, error) {
	var payload storefrontv1.EntitleBranch
	if err := branch.GetPayload().UnmarshalTo(&payload); err != nil {
		return nil, order.Entitlement{}, tcc.Refuse(fmt.Errorf("payload: %w", err))
	}
	wanted := order.Entitlement{
		TenantID: branch.GetTenantId(), ViewerID: payload.GetViewerId(), VideoID: payload.GetVideoId(),
		OrderID: payload.GetOrderId(), UpdatedAt: d.Clock(),
	}
	current, err := store.InTx(tx).Entitlement(ctx, wanted.TenantID, wanted.ViewerID, wanted.VideoID)
	if err != nil {
		return nil, wanted, fmt.Errorf("read entitlement: %w", err)
	}
	return current, wanted, nil
}
