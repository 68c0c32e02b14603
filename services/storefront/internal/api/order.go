package api

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/purchase"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

// Orders implements storefrontv1.OrderServiceServer.
type Orders struct {
	Store        *store.Store
	Driver       *purchase.Driver
	Signer       *token.Signer
	Clock        func() time.Time
	PlaybackLife time.Duration
}

var _ storefrontv1.OrderServiceServer = (*Orders)(nil)

// CreateOrder implements the contract.
func (s *Orders) CreateOrder(ctx context.Context, req *storefrontv1.CreateOrderRequest) (*storefrontv1.CreateOrderResponse, error) {
	caller, _ := identity.From(ctx)
	wanted := purchase.Request{
		TenantID: caller.TenantID, ViewerID: caller.ID, VideoID: req.GetVideoId(), IdempotencyKey: req.GetIdempotencyKey(),
		Instrument: req.GetPayment().GetInstrument(), Device: req.GetPayment().GetDevice(),
	}
	if price := req.GetExpectedPrice(); price != nil {
		wanted.ExpectedMinor, wanted.ExpectedCurrency = &price.Minor, price.GetCurrency()
	}
	o, err := s.Driver.Create(ctx, wanted)
	if err != nil {
		return nil, coded(err, orderField(err))
	}
	message, err := orderMessage(o)
	if err != nil {
		return nil, err
	}
	return &storefrontv1.CreateOrderResponse{Order: message}, nil
}

// RefundOrder implements the contract.
func (s *Orders) RefundOrder(ctx context.Context, req *storefrontv1.RefundOrderRequest) (*storefrontv1.RefundOrderResponse, error) {
	o, err := s.Driver.Refund(ctx, identity.Tenant(ctx), req.GetOrderId(), req.GetIdempotencyKey(), req.GetChargeback())
	if err != nil {
		return nil, coded(err, "order_id")
	}
	message, err := orderMessage(o)
	if err != nil {
		return nil, err
	}
	return &storefrontv1.RefundOrderResponse{Order: message}, nil
}

// orderField is the field of the request that a fault is about.
func orderField(err error) string {
	switch {
	case errors.Is(err, order.ErrPriceChanged):
		return "expected_price"
	case errors.Is(err, order.ErrKeyReused):
		return "idempotency_key"
	case errors.Is(err, purchase.ErrUnavailable):
		return "order"
	default:
		return "video_id"
	}
}

// GetOrder implements the contract.
func (s *Orders) GetOrder(ctx context.Context, req *storefrontv1.GetOrderRequest) (*storefrontv1.GetOrderResponse, error) {
	caller, _ := identity.From(ctx)
	o, err := s.Store.Order(ctx, caller.TenantID, req.GetOrderId())
	if err == nil && o.ViewerID != caller.ID && !trusted(caller) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, coded(err, "order_id")
	}
	message, err := orderMessage(o)
	if err != nil {
		return nil, err
	}
	return &storefrontv1.GetOrderResponse{Order: message}, nil
}

// ListOrders implements the contract.
func (s *Orders) ListOrders(ctx context.Context, req *storefrontv1.ListOrdersRequest) (*storefrontv1.ListOrdersResponse, error) {
	caller, _ := identity.From(ctx)
	viewer, err := whose(caller, req.GetViewerId())
	if err != nil {
		return nil, err
	}
	before, limit := page(req.GetPageToken(), req.GetPageSize())
	orders, err := s.Store.Orders(ctx, caller.TenantID, viewer, before, limit)
	if err != nil {
		return nil, err
	}
	shown, next := cut(orders, limit, func(o order.Order) string { return o.ID })
	response := &storefrontv1.ListOrdersResponse{NextPageToken: next}
	for _, o := range shown {
		message, err := orderMessage(o)
		if err != nil {
			return nil, err
		}
		response.Orders = append(response.Orders, message)
	}
	return response, nil
}

// ListEntitlements implements the contract.
func (s *Orders) ListEntitlements(ctx context.Context, req *storefrontv1.ListEntitlementsRequest) (*storefrontv1.ListEntitlementsResponse, error) {
	caller, _ := identity.From(ctx)
	viewer, err := whose(caller, req.GetViewerId())
	if err != nil {
		return nil, err
	}
	before, limit := page(req.GetPageToken(), req.GetPageSize())
	list, err := s.Store.Entitlements(ctx, caller.TenantID, viewer, before, limit)
	if err != nil {
		return nil, err
	}
	shown, next := cut(list, limit, func(e order.Entitlement) string { return e.OrderID })
	response := &storefrontv1.ListEntitlementsResponse{NextPageToken: next}
	for _, e := range shown {
		response.Entitlements = append(response.Entitlements, entitlementMessage(e))
	}
	return response, nil
}

// whose rows a caller sees: its own, or for trusted callers whom they name,
// empty for everybody's.
func whose(caller identity.Principal, named string) (string, error) {
	if trusted(caller) {
		return named, nil
	}
	if named != "" && named != caller.ID {
		return "", invalid("viewer_id", "only operators may name others")
	}
	return caller.ID, nil
}

// CreatePlayback implements the contract.
func (s *Orders) CreatePlayback(ctx context.Context, req *storefrontv1.CreatePlaybackRequest) (*storefrontv1.CreatePlaybackResponse, error) {
	caller, _ := identity.From(ctx)
	v, err := s.Store.Video(ctx, caller.TenantID, req.GetVideoId())
	if err != nil {
		return nil, coded(err, "video_id")
	}
	allowed, err := s.mayWatch(ctx, caller, v)
	if err != nil {
		return nil, err
	}
	if !allowed {
		if v.State != video.Published {
			return nil, coded(store.ErrNotFound, "video_id")
		}
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("video_id: buy the video to watch it"))
	}
	if v.MediaPrefix == "" {
		return nil, coded(video.ErrNotReady, "video_id")
	}
	expires := s.Clock().Add(s.PlaybackLife).UnixMicro()
	signed, err := s.Signer.Media(&identityv1.MediaGrant{
		TenantId: v.TenantID, VideoId: v.ID, Prefix: v.MediaPrefix, ViewerId: caller.ID, ExpiresAt: expires,
	})
	if err != nil {
		return nil, err
	}
	return &storefrontv1.CreatePlaybackResponse{Path: "/media/" + signed + "/master.m3u8", ExpiresAt: expires}, nil
}

func (s *Orders) mayWatch(ctx context.Context, caller identity.Principal, v video.Video) (bool, error) {
	if v.CreatorID == caller.ID || caller.Kind == identity.Operator {
		return true, nil
	}
	if v.State == video.Published && v.Price.IsZero() {
		return true, nil
	}
	if v.State != video.Published && v.State != video.Withdrawn {
		return false, nil
	}
	entitlement, err := s.Store.Entitlement(ctx, v.TenantID, caller.ID, v.ID)
	return entitlement != nil && entitlement.State == order.Granted, err
}
