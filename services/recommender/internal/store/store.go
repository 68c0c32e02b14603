// Package store keeps what the recommender knows of videos and views in SQL,
// on SQLite and PostgreSQL alike. It does not know models or messages.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	recommenderdb "github.com/backlot-video/backlot/sql/gen/recommender"

	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

// Store is safe for concurrent use.
type Store struct {
	db   *database.DB
	page int // rows read at a time
}

// New returns a store in db, which has the recommender's migrations.
func New(db *database.DB) *Store { return &Store{db: db, page: 10_000} }

// View is one watching of a video.
type View struct {
	VideoID  string
	Watched  time.Duration
	ViewedAt time.Time
}

// PutVideo records within tx whether viewers can have a video, as of at;
// what is known of a later time stays.
func PutVideo(ctx context.Context, tx *sql.Tx, tenant, video string, available bool, at time.Time) error {
	err := recommenderdb.New(tx).PutVideo(ctx, recommenderdb.PutVideoParams{
		TenantID: tenant, VideoID: video, Available: available, UpdatedAt: at.UnixMicro(),
	})
	if err != nil {
		return fmt.Errorf("put video: %w", err)
	}
	return nil
}

// ImportView records within tx that a viewer watched a video which others
// can have. What is known already stays as it is.
func ImportView(ctx context.Context, tx *sql.Tx, tenant, viewer string, v View) error {
	q := recommenderdb.New(tx)
	added, err := q.AddInteraction(ctx, interaction(tenant, viewer, v))
	if err == nil && added > 0 {
		err = q.CountViewer(ctx, recommenderdb.CountViewerParams{TenantID: tenant, VideoID: v.VideoID})
	}
	if err != nil {
		return fmt.Errorf("import view: %w", err)
	}
	return PutVideo(ctx, tx, tenant, v.VideoID, true, time.UnixMicro(1)) // anything told is newer
}

func interaction(tenant, viewer string, v View) recommenderdb.AddInteractionParams {
	return recommenderdb.AddInteractionParams{
		TenantID: tenant, ViewerID: viewer, VideoID: v.VideoID,
		Watched: v.Watched.Microseconds(), ViewedAt: v.ViewedAt.UnixMicro(),
	}
}

// AddViews records within tx what a viewer watched.
func AddViews(ctx context.Context, tx *sql.Tx, tenant, viewer string, views []View) error {
	q := recommenderdb.New(tx)
	for _, v := range views {
		if err := addView(ctx, q, tenant, viewer, v); err != nil {
			return fmt.Errorf("add view: %w", err)
		}
	}
	return nil
}

func addView(ctx context.Context, q *recommenderdb.Queries, tenant, viewer string, v View) error {
	added, err := q.AddInteraction(ctx, interaction(tenant, viewer, v))
	if err != nil {
		return err
	}
	if added > 0 {
		return q.CountViewer(ctx, recommenderdb.CountViewerParams{TenantID: tenant, VideoID: v.VideoID})
	}
	return q.RepeatInteraction(ctx, recommenderdb.RepeatInteractionParams{
		TenantID: tenant, ViewerID: viewer, VideoID: v.VideoID,
		Watched: v.Watched.Microseconds(), ViewedAt: v.ViewedAt.UnixMicro(),
	})
}

// Tenants returns the tenants of which anything is known.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	tenants, err := recommenderdb.New(s.db.Read()).ListTenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return tenants, nil
}

// Catalogue returns all videos of a tenant by id.
func (s *Store) Catalogue(ctx context.Context, tenant string) ([]shelf.Video, error) {
	q := recommenderdb.New(s.db.Read())
	var all []shelf.Video
	after := ""
	for {
		rows, err := q.ListVideos(ctx, recommenderdb.ListVideosParams{TenantID: tenant, After: after, MaxRows: int64(s.page)})
		if err != nil {
			return nil, fmt.Errorf("list videos: %w", err)
		}
		for _, r := range rows {
			all = append(all, shelf.Video{ID: r.VideoID, Available: r.Available, Viewers: r.Viewers})
		}
		if len(rows) < s.page {
			return all, nil
		}
		after = rows[len(rows)-1].VideoID
	}
}

// History returns at most limit videos that a viewer watched, latest first.
func (s *Store) History(ctx context.Context, tenant, viewer string, limit int) ([]string, error) {
	videos, err := recommenderdb.New(s.db.Read()).ListHistory(ctx, recommenderdb.ListHistoryParams{
		TenantID: tenant, ViewerID: viewer, MaxRows: int64(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list history: %w", err)
	}
	return videos, nil
}

// Views returns who watched what: a row per viewer, a column per video, and
// the videos' ids. It reads at most limit pairs and tells whether there are
// more.
func (s *Store) Views(ctx context.Context, tenant string, limit int) (views *sparse.Matrix, videos []string, more bool, err error) {
	q := recommenderdb.New(s.db.Read())
	var pairs []sparse.Pair
	column := map[string]uint32{}
	viewers, after := 0, recommenderdb.ListInteractionsRow{}
	for {
		rows, err := q.ListInteractions(ctx, recommenderdb.ListInteractionsParams{
			TenantID: tenant, AfterViewer: after.ViewerID, AfterVideo: after.VideoID, MaxRows: int64(s.page),
		})
		if err != nil {
			return nil, nil, false, fmt.Errorf("list views: %w", err)
		}
		for _, r := range rows {
			if len(pairs) == limit {
				more = true
				break
			}
			if viewers == 0 || r.ViewerID != after.ViewerID {
				viewers++
			}
			after = r
			at, known := column[r.VideoID]
			if !known {
				at = uint32(len(videos))
				column[r.VideoID] = at
				videos = append(videos, r.VideoID)
			}
			pairs = append(pairs, sparse.Pair{Row: uint32(viewers - 1), Col: at})
		}
		if len(rows) < s.page || more {
			break
		}
	}
	views, err = sparse.New(viewers, len(videos), pairs)
	return views, videos, more, err
}
