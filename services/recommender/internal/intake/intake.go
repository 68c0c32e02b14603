// Package intake records the facts that storefront tells: which videos are
// published and withdrawn, and what viewers watched.
//
//	intake.go  Intake: facts from the broker
//	import.go  Import: views of another system, from a CSV file
package intake

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"

	"github.com/backlot-video/backlot/services/recommender/internal/store"
)

// Consumer is the durable name at the broker and in the inbox.
const Consumer = "recommender_intake"

// Types are those of the facts that are listened to.
var Types = []string{
	"backlot.storefront.video_published.v1",
	"backlot.storefront.video_withdrawn.v1",
	"backlot.storefront.videos_viewed.v1",
}

var (
	beforeCommit = crashpoint.New("recommender/intake/before-commit")
	afterCommit  = crashpoint.New("recommender/intake/after-commit")
)

const (
	// inboxAge is longer than the broker keeps facts.
	inboxAge   = 40 * 24 * time.Hour
	purgeEvery = time.Hour
	purgeRows  = 1000
)

// Intake handles facts, each once.
type Intake struct {
	DB      *database.DB
	Log     *slog.Logger
	Clock   func() time.Time
	Changed func(tenant string) // called after the commit of news
}

// Run forgets old ids of facts until ctx ends. A purge that fails is logged
// and tried again with the next.
func (i *Intake) Run(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		if err := i.purge(ctx); err != nil && ctx.Err() == nil {
			i.Log.Error("purge inbox", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (i *Intake) purge(ctx context.Context) error {
	for n := int64(purgeRows); n == purgeRows; {
		err := i.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			n, err = kitdb.New(tx).PurgeInbox(ctx, kitdb.PurgeInboxParams{
				Before: i.Clock().Add(-inboxAge).UnixMicro(), MaxRows: purgeRows,
			})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Handle records one fact; repeated ones change nothing.
func (i *Intake) Handle(ctx context.Context, envelope *eventv1.Envelope) error {
	apply, err := change(envelope)
	if err != nil {
		return err
	}
	err = i.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		first, err := mq.Once(ctx, tx, Consumer, envelope)
		if err != nil || !first {
			return err
		}
		if err := apply(ctx, tx); err != nil {
			return err
		}
		database.AfterCommit(ctx, func() { i.Changed(envelope.GetTenantId()) })
		beforeCommit.Hit()
		return nil
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", envelope.GetType(), err)
	}
	afterCommit.Hit()
	return nil
}

// change returns what a fact means for the store.
func change(envelope *eventv1.Envelope) (func(context.Context, *sql.Tx) error, error) {
	message, err := envelope.GetData().UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("fact %s: %w", envelope.GetType(), err)
	}
	tenant, at := envelope.GetTenantId(), time.UnixMicro(envelope.GetOccurredAt())
	switch fact := message.(type) {
	case *storefrontv1.VideoPublished:
		return func(ctx context.Context, tx *sql.Tx) error {
			return store.PutVideo(ctx, tx, tenant, fact.GetVideoId(), true, at)
		}, nil
	case *storefrontv1.VideoWithdrawn:
		return func(ctx context.Context, tx *sql.Tx) error {
			return store.PutVideo(ctx, tx, tenant, fact.GetVideoId(), false, at)
		}, nil
	case *storefrontv1.VideosViewed:
		views := make([]store.View, len(fact.GetViews()))
		for n, v := range fact.GetViews() {
			views[n] = store.View{
				VideoID: v.GetVideoId(), Watched: time.Duration(v.GetWatched()) * time.Microsecond,
				ViewedAt: time.UnixMicro(v.GetViewedAt()),
			}
		}
		return func(ctx context.Context, tx *sql.Tx) error {
			return store.AddViews(ctx, tx, tenant, fact.GetViewerId(), views)
		}, nil
	default:
		return nil, fmt.Errorf("%w: %s", mq.ErrUnknownType, envelope.GetType())
	}
}
