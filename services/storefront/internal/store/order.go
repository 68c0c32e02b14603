package store

import (
	"context"
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	storefrontdb "github.com/backlot-video/backlot/sql/gen/storefront"
)

// InsertOrder returns false where the viewer's idempotency key is taken.
func (t Tx) InsertOrder(ctx context.Context, o order.Order) (bool, error) {
	n, err := t.queries.InsertOrder(ctx, storefrontdb.InsertOrderParams{
		ID: o.ID, TenantID: o.TenantID, ViewerID: o.ViewerID, VideoID: o.VideoID, CreatorID: o.CreatorID,
		PriceMinor: o.Price.Minor, PriceCurrency: o.Price.Currency, State: int32(o.State), Risk: []byte{},
		IdempotencyKey: o.IdempotencyKey, Instrument: o.Instrument, Device: o.Device, CreatedAt: micros(o.CreatedAt),
	})
	return n == 1, err
}

// OrderByKey finds a viewer's order by its idempotency key.
func (t Tx) OrderByKey(ctx context.Context, tenant, viewer, key string) (order.Order, error) {
	row, err := t.queries.GetOrderByKey(ctx, storefrontdb.GetOrderByKeyParams{TenantID: tenant, ViewerID: viewer, IdempotencyKey: key})
	return orderOf(row), notFound(err)
}

// Order finds an order within the transaction.
func (t Tx) Order(ctx context.Context, tenant, id string) (order.Order, error) {
	row, err := t.queries.GetOrder(ctx, storefrontdb.GetOrderParams{TenantID: tenant, ID: id})
	return orderOf(row), notFound(err)
}

// MoveOrder stores an order that was in state from; false where it is no
// longer.
func (t Tx) MoveOrder(ctx context.Context, o order.Order, from order.State) (bool, error) {
	risk := o.Risk
	if risk == nil {
		risk = []byte{}
	}
	n, err := t.queries.MoveOrder(ctx, storefrontdb.MoveOrderParams{
		TenantID: o.TenantID, ID: o.ID, State: int32(o.State), Problem: o.Problem, Risk: risk, Xid: o.XID,
		UpdatedAt: micros(o.UpdatedAt), FromState: int32(from),
	})
	return n == 1, err
}

// Entitlement finds the pair's entitlement within the transaction; nil
// where there is none.
func (t Tx) Entitlement(ctx context.Context, tenant, viewer, videoID string) (*order.Entitlement, error) {
	return entitlement(ctx, t.queries, tenant, viewer, videoID)
}

// PutEntitlement stores the pair's entitlement.
func (t Tx) PutEntitlement(ctx context.Context, e order.Entitlement) error {
	return t.queries.PutEntitlement(ctx, storefrontdb.PutEntitlementParams{
		TenantID: e.TenantID, ViewerID: e.ViewerID, VideoID: e.VideoID, OrderID: e.OrderID,
		State: int32(e.State), UpdatedAt: micros(e.UpdatedAt),
	})
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, tenant, id string) (order.Order, error) {
	row, err := s.read().GetOrder(ctx, storefrontdb.GetOrderParams{TenantID: tenant, ID: id})
	return orderOf(row), notFound(err)
}

// Orders lists a viewer's orders, or everybody's for an empty viewer,
// newest first.
func (s *Store) Orders(ctx context.Context, tenant, viewer, before string, limit int) ([]order.Order, error) {
	rows, err := s.read().ListOrders(ctx, storefrontdb.ListOrdersParams{
		TenantID: tenant, ViewerID: viewer, Before: before, PageSize: int64(limit),
	})
	return ordersOf(rows), err
}

// Unfinished lists orders of all tenants that nobody has moved since.
func (s *Store) Unfinished(ctx context.Context, since time.Time, limit int) ([]order.Order, error) {
	rows, err := s.read().ListUnfinished(ctx, storefrontdb.ListUnfinishedParams{
		FirstState: int32(order.Pending), SecondState: int32(order.Paying),
		UpdatedBefore: micros(since), PageSize: int64(limit),
	})
	return ordersOf(rows), err
}

// CountPaid counts a viewer's paid orders.
func (s *Store) CountPaid(ctx context.Context, tenant, viewer string) (int64, error) {
	return s.read().CountPaid(ctx, storefrontdb.CountPaidParams{TenantID: tenant, ViewerID: viewer, State: int32(order.Paid)})
}

// Entitlement finds the pair's entitlement; nil where there is none.
func (s *Store) Entitlement(ctx context.Context, tenant, viewer, videoID string) (*order.Entitlement, error) {
	return entitlement(ctx, s.read(), tenant, viewer, videoID)
}

// Entitlements lists a viewer's, or everybody's for an empty viewer.
func (s *Store) Entitlements(ctx context.Context, tenant, viewer, before string, limit int) ([]order.Entitlement, error) {
	rows, err := s.read().ListEntitlements(ctx, storefrontdb.ListEntitlementsParams{
		TenantID: tenant, ViewerID: viewer, Before: before, PageSize: int64(limit),
	})
	list := make([]order.Entitlement, len(rows))
	for i, row := range rows {
		list[i] = entitlementOf(row)
	}
	return list, err
}

func entitlement(ctx context.Context, q *storefrontdb.Queries, tenant, viewer, videoID string) (*order.Entitlement, error) {
	row, err := q.GetEntitlement(ctx, storefrontdb.GetEntitlementParams{TenantID: tenant, ViewerID: viewer, VideoID: videoID})
	if err = notFound(err); errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := entitlementOf(row)
	return &e, nil
}

func entitlementOf(row storefrontdb.Entitlement) order.Entitlement {
	return order.Entitlement{
		TenantID: row.TenantID, ViewerID: row.ViewerID, VideoID: row.VideoID, OrderID: row.OrderID,
		State: order.EntitlementState(row.State), UpdatedAt: fromMicros(row.UpdatedAt),
	}
}

func ordersOf(rows []storefrontdb.Order) []order.Order {
	orders := make([]order.Order, len(rows))
	for i, row := range rows {
		orders[i] = orderOf(row)
	}
	return orders
}

func orderOf(row storefrontdb.Order) order.Order {
	return order.Order{
		ID: row.ID, TenantID: row.TenantID, ViewerID: row.ViewerID, VideoID: row.VideoID, CreatorID: row.CreatorID,
		Price: money.Amount{Minor: row.PriceMinor, Currency: row.PriceCurrency}, State: order.State(row.State),
		Problem: row.Problem, Risk: row.Risk, XID: row.Xid, IdempotencyKey: row.IdempotencyKey,
		Instrument: row.Instrument, Device: row.Device,
		CreatedAt: fromMicros(row.CreatedAt), UpdatedAt: fromMicros(row.UpdatedAt),
	}
}
