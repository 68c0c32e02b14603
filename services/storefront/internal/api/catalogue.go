package api

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

var (
	beforeCreate  = crashpoint.New("storefront/video-create/before")
	afterCreate   = crashpoint.New("storefront/video-create/after")
	beforePublish = crashpoint.New("storefront/video-publish/before")
	afterPublish  = crashpoint.New("storefront/video-publish/after")
	beforeViews   = crashpoint.New("storefront/views/before")
	afterViews    = crashpoint.New("storefront/views/after")
)

// viewsPerFact keeps a fact well under the broker's limit.
const viewsPerFact = 1000

// Outbox keeps a fact in the transaction of the state that it tells of.
type Outbox interface {
	Add(ctx context.Context, tx *sql.Tx, tenant, fact, key string, data proto.Message) error
}

// Catalogue implements storefrontv1.CatalogueServiceServer.
type Catalogue struct {
	Store  *store.Store
	Outbox Outbox
	Clock  func() time.Time
}

var _ storefrontv1.CatalogueServiceServer = (*Catalogue)(nil)

// CreateVideo implements the contract.
func (c *Catalogue) CreateVideo(ctx context.Context, req *storefrontv1.CreateVideoRequest) (*storefrontv1.CreateVideoResponse, error) {
	caller, _ := identity.From(ctx)
	for i, tag := range req.GetTags() {
		if strings.ContainsAny(tag, "\r\n") {
			return nil, invalid(fmt.Sprintf("tags[%d]", i), "must be one line")
		}
	}
	now := c.Clock()
	v := video.Video{
		ID: newID(), TenantID: caller.TenantID, CreatorID: caller.ID, Title: req.GetTitle(), Description: req.GetDescription(),
		Tags: req.GetTags(), State: video.Draft, ExternalRef: req.GetExternalRef(), CreatedAt: now, UpdatedAt: now,
	}
	beforeCreate.Hit()
	err := c.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		inserted, err := tx.InsertVideo(ctx, v)
		if err == nil && !inserted {
			v, err = tx.VideoByExternalRef(ctx, caller.TenantID, caller.ID, req.GetExternalRef())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	afterCreate.Hit()
	return &storefrontv1.CreateVideoResponse{Video: videoMessage(v)}, nil
}

// PublishVideo implements the contract.
func (c *Catalogue) PublishVideo(ctx context.Context, req *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
	price, err := onePrice(req)
	if err != nil {
		return nil, err
	}
	v, err := c.change(ctx, req.GetVideoId(), func(ctx context.Context, tx store.Tx, v *video.Video) error {
		if err := v.Publish(price, c.Clock()); err != nil {
			field := "video_id"
			if errors.Is(err, video.ErrPrice) {
				field = "prices[0]"
			}
			return coded(err, field)
		}
		return c.Outbox.Add(ctx, tx.SQL, v.TenantID, "video_published", v.ID, &storefrontv1.VideoPublished{
			VideoId: v.ID, CreatorId: v.CreatorID, Title: v.Title, Tags: v.Tags, Price: v.Price.ToProto(),
		})
	})
	if err != nil {
		return nil, err
	}
	return &storefrontv1.PublishVideoResponse{Video: videoMessage(v)}, nil
}

// onePrice refuses a price in several currencies.
func onePrice(req *storefrontv1.PublishVideoRequest) (money.Amount, error) {
	prices := req.GetPrices()
	if len(prices) > 1 {
		var currencies []string
		for _, p := range prices {
			currencies = append(currencies, p.GetCurrency())
		}
		return money.Amount{}, invalid("prices", "a video is sold at one price in one currency; got "+strings.Join(currencies, " and "))
	}
	price := money.Amount{Minor: prices[0].GetMinor(), Currency: prices[0].GetCurrency()}
	return price, coded(video.CheckPrice(price), "prices[0]")
}

// WithdrawVideo implements the contract.
func (c *Catalogue) WithdrawVideo(ctx context.Context, req *storefrontv1.WithdrawVideoRequest) (*storefrontv1.WithdrawVideoResponse, error) {
	v, err := c.change(ctx, req.GetVideoId(), func(ctx context.Context, tx store.Tx, v *video.Video) error {
		if err := v.Withdraw(c.Clock()); err != nil {
			return coded(err, "video_id")
		}
		return c.Outbox.Add(ctx, tx.SQL, v.TenantID, "video_withdrawn", v.ID, &storefrontv1.VideoWithdrawn{VideoId: v.ID})
	})
	if err != nil {
		return nil, err
	}
	return &storefrontv1.WithdrawVideoResponse{Video: videoMessage(v)}, nil
}

// change loads a video of the caller, changes and stores it in one
// transaction.
func (c *Catalogue) change(ctx context.Context, id string, fn func(context.Context, store.Tx, *video.Video) error) (video.Video, error) {
	caller, _ := identity.From(ctx)
	var v video.Video
	beforePublish.Hit()
	err := c.Store.Write(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if v, err = tx.Video(ctx, caller.TenantID, id); err != nil {
			return coded(err, "video_id")
		}
		if v.CreatorID != caller.ID && !trusted(caller) {
			return coded(store.ErrNotFound, "video_id")
		}
		if err := fn(ctx, tx, &v); err != nil {
			return err
		}
		return tx.UpdateVideo(ctx, v)
	})
	if err == nil {
		afterPublish.Hit()
	}
	return v, err
}

// GetVideo implements the contract.
func (c *Catalogue) GetVideo(ctx context.Context, req *storefrontv1.GetVideoRequest) (*storefrontv1.GetVideoResponse, error) {
	caller, _ := identity.From(ctx)
	v, err := c.Store.Video(ctx, identity.Tenant(ctx), req.GetVideoId())
	if err == nil && v.State != video.Published && v.CreatorID != caller.ID && !trusted(caller) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, coded(err, "video_id")
	}
	return &storefrontv1.GetVideoResponse{Video: videoMessage(v)}, nil
}

// ListVideos implements the contract.
func (c *Catalogue) ListVideos(ctx context.Context, req *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
	caller, _ := identity.From(ctx)
	before, limit := page(req.GetPageToken(), req.GetPageSize())
	var videos []video.Video
	var err error
	switch creator := req.GetCreatorId(); {
	case creator == "":
		videos, err = c.Store.Published(ctx, identity.Tenant(ctx), before, limit)
	case creator == caller.ID || trusted(caller):
		videos, err = c.Store.OfCreator(ctx, identity.Tenant(ctx), creator, before, limit)
	default:
		return nil, invalid("creator_id", "only the creator itself may list by creator")
	}
	if err != nil {
		return nil, err
	}
	shown, next := cut(videos, limit, func(v video.Video) string { return v.ID })
	response := &storefrontv1.ListVideosResponse{NextPageToken: next}
	for _, v := range shown {
		response.Videos = append(response.Videos, videoMessage(v))
	}
	return response, nil
}

// RecordViews implements the contract.
func (c *Catalogue) RecordViews(ctx context.Context, req *storefrontv1.RecordViewsRequest) (*storefrontv1.RecordViewsResponse, error) {
	views, err := c.views(ctx, req)
	if err != nil {
		return nil, err
	}
	recorded := uint32(0)
	beforeViews.Hit()
	err = c.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		recorded = 0
		fresh := map[string][]store.View{}
		known := map[string]bool{}
		for i, view := range views {
			if !known[view.VideoID] {
				if _, err := tx.Video(ctx, view.TenantID, view.VideoID); err != nil {
					return coded(err, fmt.Sprintf("views[%d].video_id", i))
				}
				known[view.VideoID] = true
			}
			inserted, err := tx.InsertView(ctx, view)
			if err != nil {
				return err
			}
			if inserted {
				recorded++
				fresh[view.ViewerID] = append(fresh[view.ViewerID], view)
			}
		}
		return c.tellViews(ctx, tx, fresh)
	})
	if err != nil {
		return nil, err
	}
	afterViews.Hit()
	return &storefrontv1.RecordViewsResponse{Recorded: recorded}, nil
}

func (c *Catalogue) views(ctx context.Context, req *storefrontv1.RecordViewsRequest) ([]store.View, error) {
	caller, _ := identity.From(ctx)
	views := make([]store.View, len(req.GetViews()))
	for i, in := range req.GetViews() {
		view := store.View{
			ID: in.GetId(), TenantID: caller.TenantID, ViewerID: in.GetViewerId(), VideoID: in.GetVideoId(),
			Watched: time.Duration(in.GetWatched()) * time.Microsecond, ViewedAt: time.UnixMicro(in.GetViewedAt()),
		}
		if view.ViewerID == "" {
			view.ViewerID = caller.ID
		}
		if view.ViewerID != caller.ID && caller.Kind != identity.Operator {
			return nil, invalid(fmt.Sprintf("views[%d].viewer_id", i), "only operators may record views of others")
		}
		if view.ID == "" {
			view.ID = newID()
		}
		if in.GetViewedAt() == 0 {
			view.ViewedAt = c.Clock()
		}
		views[i] = view
	}
	return views, nil
}

// tellViews puts one fact for each viewer into the outbox, in order of
// viewers.
func (c *Catalogue) tellViews(ctx context.Context, tx store.Tx, fresh map[string][]store.View) error {
	viewers := make([]string, 0, len(fresh))
	for viewer := range fresh {
		viewers = append(viewers, viewer)
	}
	sort.Strings(viewers)
	for _, viewer := range viewers {
		for views := range slices.Chunk(fresh[viewer], viewsPerFact) {
			fact := &storefrontv1.VideosViewed{ViewerId: viewer}
			for _, view := range views {
				fact.Views = append(fact.Views, &storefrontv1.ViewedVideo{
					ViewId: view.ID, VideoId: view.VideoID, Watched: view.Watched.Microseconds(), ViewedAt: view.ViewedAt.UnixMicro(),
				})
			}
			if err := c.Outbox.Add(ctx, tx.SQL, views[0].TenantID, "videos_viewed", viewer, fact); err != nil {
				return err
			}
		}
	}
	return nil
}
