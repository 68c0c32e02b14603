package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// tastes are what videos are about and viewers like.
var tastes = []string{"surf", "noir", "baking", "chess", "volcanoes", "jazz"}

// uploadsAtOnce bounds the catalogue's uploads under way.
const uploadsAtOnce = 4

const currency = "USD"

// ensureVideo brings one file to a published video, from wherever an
// earlier run left it.
func (r *run) ensureVideo(ctx context.Context, path string, draft *storefrontv1.CreateVideoRequest, price int64, bars bool) (*storefrontv1.Video, error) {
	created, err := r.creator.catalogue.CreateVideo(ctx, draft)
	if err != nil {
		return nil, fmt.Errorf("create video %q: %w", draft.GetTitle(), err)
	}
	video := created.GetVideo()
	if video.GetState() < storefrontv1.VideoState_VIDEO_STATE_READY {
		if video, err = r.ingest(ctx, path, video, bars); err != nil {
			return nil, fmt.Errorf("video %q: %w", draft.GetTitle(), err)
		}
	}
	if video.GetState() == storefrontv1.VideoState_VIDEO_STATE_PUBLISHED {
		return video, nil
	}
	published, err := r.creator.catalogue.PublishVideo(ctx, &storefrontv1.PublishVideoRequest{
		VideoId: video.GetId(), Prices: []*moneyv1.Money{{Minor: price, Currency: currency}},
	})
	if err != nil {
		return nil, fmt.Errorf("publish %q: %w", draft.GetTitle(), err)
	}
	return published.GetVideo(), nil
}

// ingest uploads and transcodes, or goes on with the upload that arrived
// before.
func (r *run) ingest(ctx context.Context, path string, video *storefrontv1.Video, bars bool) (*storefrontv1.Video, error) {
	upload, err := r.arrived(ctx, video.GetId())
	if err != nil {
		return nil, err
	}
	if upload == "" {
		upload, err = r.creator.upload(ctx, path, video.GetId(), func(sent, total int64) {
			if bars {
				r.screen.bar("upload", sent, total, sizeText(total))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return r.creator.transcoded(ctx, video.GetId(), upload, func(job *transcoderv1alpha1.Job) {
		if bars {
			r.screen.bar("transcode", int64(job.GetProgressPpm()), 1_000_000, renditionsText(job))
		}
	})
}

// arrived finds an upload whose job has not failed.
func (r *run) arrived(ctx context.Context, videoID string) (uploadID string, err error) {
	jobs, err := r.creator.transcoder.ListJobs(ctx, &transcoderv1alpha1.ListJobsRequest{VideoId: videoID})
	if err != nil {
		return "", fmt.Errorf("list jobs: %w", err)
	}
	for _, job := range jobs.GetJobs() {
		if job.GetState() <= transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED {
			return job.GetUploadId(), nil
		}
	}
	return "", nil
}

// fillCatalogue publishes short clips in every taste and returns them by
// taste.
func (r *run) fillCatalogue(ctx context.Context) ([][]*storefrontv1.Video, error) {
	perTaste := (r.config.Catalogue + len(tastes) - 1) / len(tastes)
	videos := make([][]*storefrontv1.Video, len(tastes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	var done atomic.Int64
	for taste, name := range tastes {
		path := filepath.Join(r.config.StateDir, "clip-"+name+".mp4")
		c := clip{seconds: 1, size: "128x72", rate: 10, hue: 60 * taste, tone: 220 + 110*taste}
		if err := c.make(ctx, r.config.FFmpeg, path); err != nil {
			return nil, err
		}
		videos[taste] = make([]*storefrontv1.Video, perTaste)
		for i := range perTaste {
			group.Go(func() error {
				video, err := r.ensureVideo(ctx, path, &storefrontv1.CreateVideoRequest{
					Title: fmt.Sprintf("%s, part %d", name, i+1), Tags: []string{name},
					ExternalRef: fmt.Sprintf("demo-%s-%02d", name, i+1),
				}, int64(199+100*(i%4)), false)
				videos[taste][i] = video
				r.screen.bar("catalogue", done.Add(1), int64(perTaste*len(tastes)), "short clips")
				return err
			})
		}
	}
	return videos, group.Wait()
}

func sizeText(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", float64(bytes)/(1<<10))
}

func renditionsText(job *transcoderv1alpha1.Job) string {
	text := ""
	for _, rendition := range job.GetRenditions() {
		text += fmt.Sprintf("%dp ", rendition.GetHeight())
	}
	return text
}
