package api

import (
	"google.golang.org/protobuf/proto"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

const defaultPage = 50

// page gives the bound and the number of rows of a page, one more than
// shown, which tells whether another page follows.
func page(token string, size int32) (before string, limit int) {
	if token == "" {
		token = store.LastPage
	}
	if size <= 0 {
		size = defaultPage
	}
	return token, int(size) + 1
}

// cut drops the row that only tells of another page.
func cut[T any](rows []T, limit int, id func(T) string) (shown []T, next string) {
	if len(rows) < limit {
		return rows, ""
	}
	rows = rows[:limit-1]
	return rows, id(rows[len(rows)-1])
}

func accountMessage(a store.Account) *storefrontv1.Account {
	return &storefrontv1.Account{
		Id: a.ID, Role: storefrontv1.Role(a.Role), Email: a.Email, DisplayName: a.DisplayName,
		Country: a.Country, CreatedAt: a.CreatedAt.UnixMicro(),
	}
}

func videoMessage(v video.Video) *storefrontv1.Video {
	m := &storefrontv1.Video{
		Id: v.ID, CreatorId: v.CreatorID, Title: v.Title, Description: v.Description, Tags: v.Tags,
		State: storefrontv1.VideoState(v.State), Duration: v.Duration.Microseconds(), Width: v.Width, Height: v.Height,
		Problem: v.Problem, CreatedAt: v.CreatedAt.UnixMicro(), ExternalRef: v.ExternalRef,
	}
	if v.Price.Currency != "" {
		m.Price = v.Price.ToProto()
	}
	if !v.PublishedAt.IsZero() {
		m.PublishedAt = v.PublishedAt.UnixMicro()
	}
	return m
}

func orderMessage(o order.Order) (*storefrontv1.Order, error) {
	m := &storefrontv1.Order{
		Id: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID, CreatorId: o.CreatorID, Price: o.Price.ToProto(),
		State: storefrontv1.OrderState(o.State), Problem: o.Problem, Xid: o.XID, IdempotencyKey: o.IdempotencyKey,
		CreatedAt: o.CreatedAt.UnixMicro(), UpdatedAt: o.UpdatedAt.UnixMicro(),
	}
	if len(o.Risk) > 0 {
		m.Risk = new(storefrontv1.RiskDecision)
		if err := proto.Unmarshal(o.Risk, m.Risk); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func entitlementMessage(e order.Entitlement) *storefrontv1.Entitlement {
	return &storefrontv1.Entitlement{
		ViewerId: e.ViewerID, VideoId: e.VideoID, OrderId: e.OrderID,
		State: storefrontv1.EntitlementState(e.State), UpdatedAt: e.UpdatedAt.UnixMicro(),
	}
}
