// Package ingest moves videos by what the transcoder tells: uploads that
// finished, jobs that succeeded or failed.
package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/crashpoint"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

// Types of the facts that are listened to.
const (
	UploadFinished = "backlot.transcoder.upload_finished.v1"
	JobSucceeded   = "backlot.transcoder.job_succeeded.v1"
	JobFailed      = "backlot.transcoder.job_failed.v1"
)

// Consumer is the durable name at the broker and in the inbox.
const Consumer = "storefront_ingest"

var (
	beforeMedia = crashpoint.New("storefront/ingest/before")
	afterMedia  = crashpoint.New("storefront/ingest/after")
)

// Once tells whether a consumer's database sees a fact for the first time.
type Once func(ctx context.Context, tx *sql.Tx, consumer string, envelope *eventv1.Envelope) (first bool, err error)

// Ingest handles facts.
type Ingest struct {
	Store *store.Store
	Once  Once
	Clock func() time.Time
}

// Handle applies one fact once. Facts about videos that are not known are
// left alone.
func (i *Ingest) Handle(ctx context.Context, envelope *eventv1.Envelope) error {
	id, apply, err := change(envelope)
	if err != nil {
		return err
	}
	beforeMedia.Hit()
	err = i.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		first, err := i.Once(ctx, tx.SQL, Consumer, envelope)
		if err != nil || !first {
			return err
		}
		v, err := tx.Video(ctx, envelope.GetTenantId(), id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		apply(&v, i.Clock())
		return tx.UpdateVideo(ctx, v)
	})
	if err != nil {
		return fmt.Errorf("apply %s to video %s: %w", envelope.GetType(), id, err)
	}
	afterMedia.Hit()
	return nil
}

// change is what a fact means for a video.
func change(envelope *eventv1.Envelope) (videoID string, apply func(*video.Video, time.Time), err error) {
	message, err := envelope.GetData().UnmarshalNew()
	if err != nil {
		return "", nil, fmt.Errorf("fact %s: %w", envelope.GetType(), err)
	}
	switch fact := message.(type) {
	case *transcoderv1alpha1.UploadFinished:
		return fact.GetUpload().GetVideoId(), (*video.Video).UploadFinished, nil
	case *transcoderv1alpha1.JobSucceeded:
		job := fact.GetJob()
		media := video.Media{
			Prefix: job.GetOutputPrefix(), Duration: time.Duration(job.GetSource().GetDuration()) * time.Microsecond,
			Width: job.GetSource().GetWidth(), Height: job.GetSource().GetHeight(),
		}
		return job.GetVideoId(), func(v *video.Video, now time.Time) { v.Transcoded(media, now) }, nil
	case *transcoderv1alpha1.JobFailed:
		problem := fact.GetJob().GetProblem()
		return fact.GetJob().GetVideoId(), func(v *video.Video, now time.Time) { v.TranscodeFailed(problem, now) }, nil
	default:
		return "", nil, fmt.Errorf("fact %s is not known", envelope.GetType())
	}
}
