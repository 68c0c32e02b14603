package store

import (
	"context"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
	storefrontdb "github.com/backlot-video/backlot/sql/gen/storefront"
)

// View is one watching of a video.
type View struct {
	ID, TenantID, ViewerID, VideoID string
	Watched                         time.Duration
	ViewedAt                        time.Time
}

// InsertVideo returns false where the creator's external reference is
// taken.
func (t Tx) InsertVideo(ctx context.Context, v video.Video) (bool, error) {
	n, err := t.queries.InsertVideo(ctx, storefrontdb.InsertVideoParams{
		ID: v.ID, TenantID: v.TenantID, CreatorID: v.CreatorID, Title: v.Title, Description: v.Description,
		Tags: strings.Join(v.Tags, "\n"), State: int32(v.State), ExternalRef: v.ExternalRef, CreatedAt: micros(v.CreatedAt),
	})
	return n == 1, err
}

// Video reads a video within the transaction.
func (t Tx) Video(ctx context.Context, tenant, id string) (video.Video, error) {
	row, err := t.queries.GetVideo(ctx, storefrontdb.GetVideoParams{TenantID: tenant, ID: id})
	return videoOf(row), notFound(err)
}

// VideoByExternalRef finds a creator's video by the creator's own name.
func (t Tx) VideoByExternalRef(ctx context.Context, tenant, creator, ref string) (video.Video, error) {
	row, err := t.queries.GetVideoByExternalRef(ctx, storefrontdb.GetVideoByExternalRefParams{
		TenantID: tenant, CreatorID: creator, ExternalRef: ref,
	})
	return videoOf(row), notFound(err)
}

// UpdateVideo stores what can change of a video.
func (t Tx) UpdateVideo(ctx context.Context, v video.Video) error {
	return t.queries.UpdateVideo(ctx, storefrontdb.UpdateVideoParams{
		TenantID: v.TenantID, ID: v.ID, State: int32(v.State),
		PriceMinor: v.Price.Minor, PriceCurrency: v.Price.Currency,
		Duration: v.Duration.Microseconds(), Width: int64(v.Width), Height: int64(v.Height),
		Problem: v.Problem, MediaPrefix: v.MediaPrefix, PublishedAt: micros(v.PublishedAt), UpdatedAt: micros(v.UpdatedAt),
	})
}

// InsertView returns false where the view is known.
func (t Tx) InsertView(ctx context.Context, v View) (bool, error) {
	n, err := t.queries.InsertView(ctx, storefrontdb.InsertViewParams{
		TenantID: v.TenantID, ID: v.ID, ViewerID: v.ViewerID, VideoID: v.VideoID,
		Watched: v.Watched.Microseconds(), ViewedAt: micros(v.ViewedAt),
	})
	return n == 1, err
}

// Video finds a video.
func (s *Store) Video(ctx context.Context, tenant, id string) (video.Video, error) {
	row, err := s.read().GetVideo(ctx, storefrontdb.GetVideoParams{TenantID: tenant, ID: id})
	return videoOf(row), notFound(err)
}

// Published lists what is for sale, newest first, before an id.
func (s *Store) Published(ctx context.Context, tenant, before string, limit int) ([]video.Video, error) {
	rows, err := s.read().ListPublished(ctx, storefrontdb.ListPublishedParams{
		TenantID: tenant, State: int32(video.Published), Before: before, PageSize: int64(limit),
	})
	return videosOf(rows), err
}

// OfCreator lists a creator's videos in every state, newest first.
func (s *Store) OfCreator(ctx context.Context, tenant, creator, before string, limit int) ([]video.Video, error) {
	rows, err := s.read().ListOfCreator(ctx, storefrontdb.ListOfCreatorParams{
		TenantID: tenant, CreatorID: creator, Before: before, PageSize: int64(limit),
	})
	return videosOf(rows), err
}

func videosOf(rows []storefrontdb.Video) []video.Video {
	videos := make([]video.Video, len(rows))
	for i, row := range rows {
		videos[i] = videoOf(row)
	}
	return videos
}

func videoOf(row storefrontdb.Video) video.Video {
	v := video.Video{
		ID: row.ID, TenantID: row.TenantID, CreatorID: row.CreatorID, Title: row.Title, Description: row.Description,
		State: video.State(row.State), Price: money.Amount{Minor: row.PriceMinor, Currency: row.PriceCurrency},
		Duration: time.Duration(row.Duration) * time.Microsecond, Width: uint32(row.Width), Height: uint32(row.Height),
		Problem: row.Problem, MediaPrefix: row.MediaPrefix, ExternalRef: row.ExternalRef,
		CreatedAt: fromMicros(row.CreatedAt), PublishedAt: fromMicros(row.PublishedAt), UpdatedAt: fromMicros(row.UpdatedAt),
	}
	if row.Tags != "" {
		v.Tags = strings.Split(row.Tags, "\n")
	}
	return v
}
