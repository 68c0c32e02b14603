package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/transcoder"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
)

const (
	// saveEvery is how often progress is written to the store.
	saveEvery = time.Second
	// cleanTime bounds the work after a job's context ended.
	cleanTime = 30 * time.Second
)

// run makes one attempt at a job.
func (w *Worker) run(ctx context.Context, id string) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j, err := w.store.ChangeJob(ctx, id, func(j *job.Job) error { return j.Start(w.cfg.Clock()) })
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, job.ErrTransition) {
			w.cfg.Log.Error("job cannot be started", "job_id", id, "err", err)
		}
		return
	}
	w.live.begin(j, cancel)
	defer w.live.end(id)
	w.cfg.Log.Info("job started", "job_id", id, "attempt", j.Attempt)
	began := w.cfg.Clock()
	err = errors.New("panicked")
	defer func() { w.finish(ctx, j, w.cfg.Clock().Sub(began), err) }()
	err = w.attempt(ctx, j, cancel)
}

// attempt brings a job from its start to success.
func (w *Worker) attempt(ctx context.Context, j job.Job, cancel context.CancelCauseFunc) (err error) {
	defer w.saveProgress(ctx, j.ID, cancel)()
	output, err := w.runtime.Transcode(ctx, transcoder.Task{
		ID: j.ID, Source: w.files.Path(j.UploadID), Ladder: w.cfg.Ladder(),
		Probed: func(m transcoder.Media) error {
			return w.step(ctx, j.ID, func(j *job.Job) error { return j.Probed(sourceOf(m), w.cfg.Clock()) })
		},
		Encoded: func() error {
			return w.step(ctx, j.ID, func(j *job.Job) error { return j.Encoded(w.cfg.Clock()) })
		},
		Progress: func(ppm uint32) { w.live.advance(j.ID, ppm, w.cfg.Clock()) },
	})
	if err != nil {
		return err
	}
	defer func() {
		if err := output.Remove(); err != nil {
			w.cfg.Log.Warn("temporary files are not deleted; the next start does", "job_id", j.ID, "err", err)
		}
	}()
	if err := output.Publish(ctx, w.cfg.Place, j.OutputPrefix); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	w.metrics.cpu.Add(output.CPU.Seconds())
	w.metrics.media.Add(output.Source.Duration.Seconds())
	return w.step(ctx, j.ID, func(j *job.Job) error { return j.Succeed(renditionsOf(output.Tracks), w.cfg.Clock()) })
}

// step changes the job in the store and here.
func (w *Worker) step(ctx context.Context, id string, change func(j *job.Job) error) error {
	j, err := w.store.ChangeJob(ctx, id, change)
	if err == nil {
		w.live.set(j)
	}
	return err
}

// saveProgress writes the job's progress as it goes, until the function that
// it returns is called, and so notices that it was cancelled on another node.
func (w *Worker) saveProgress(ctx context.Context, id string, cancel context.CancelCauseFunc) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	var saver sync.WaitGroup
	saver.Go(func() {
		ticker := time.NewTicker(saveEvery)
		defer ticker.Stop()
		var saved uint32
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			j, running := w.live.get(id)
			if !running || j.Progress == saved {
				continue
			}
			err := w.store.SaveProgress(ctx, j)
			switch {
			case err == nil:
				saved = j.Progress
			case errors.Is(err, job.ErrTransition):
				// It has just taken a step, or was cancelled.
				if now, err := w.store.Job(ctx, id); err == nil && now.State.Ended() {
					cancel(transcoder.ErrCancelled)
				}
			case ctx.Err() == nil:
				w.cfg.Log.Warn("progress is not saved", "job_id", id, "err", err)
			}
		}
	})
	return func() {
		end()
		saver.Wait()
	}
}

// finish writes how an attempt ended and takes away what is left of it. It
// goes by what the store says: a commit may have succeeded and not told us.
func (w *Worker) finish(ctx context.Context, j job.Job, took time.Duration, err error) {
	stopping := ctx.Err() != nil && !errors.Is(context.Cause(ctx), transcoder.ErrCancelled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	verdict := transcoder.Verdict{Reason: "succeeded"}
	var after job.Job
	var fault error
	switch {
	case err == nil:
		after, fault = w.store.Job(ctx, j.ID)
	case stopping:
		verdict.Reason = "shutdown"
		after, fault = w.store.ChangeJob(ctx, j.ID, func(j *job.Job) error { return j.Release(w.cfg.Clock()) })
	default:
		verdict = transcoder.Judge(err)
		after, fault = w.store.ChangeJob(ctx, j.ID, func(j *job.Job) error {
			return j.Fail(verdict.Problem, verdict.Retry, w.cfg.Clock())
		})
	}
	if errors.Is(fault, job.ErrTransition) {
		after, fault = w.store.Job(ctx, j.ID)
		verdict.Reason = after.State.String()
	}
	if fault != nil {
		w.cfg.Log.Error("end of job is not written; the next start sees to it", "job_id", j.ID, "err", fault)
		return
	}
	w.metrics.jobs.WithLabelValues(verdict.Reason).Inc()
	w.live.set(after)
	log := w.cfg.Log.With("job_id", j.ID, "attempt", j.Attempt, "end", verdict.Reason, "state", after.State.String(), "duration", took)
	if after.State == job.Succeeded {
		log.Info("job succeeded")
	} else {
		log.Warn("attempt at job ended", "err", err)
	}
	if after.State.Ended() {
		w.clean(ctx, after)
	} else {
		w.unpublish(ctx, after) // nobody starts it again before we return
	}
}

func sourceOf(m transcoder.Media) job.Media {
	width, height := m.Video.Size()
	source := job.Media{
		Duration: m.Duration, Width: width, Height: height, FrameRate: m.Video.FrameRate.Float(),
		VideoCodec: m.Video.Codec, Frames: m.Video.Frames,
	}
	if m.Audio != nil {
		source.AudioCodec = m.Audio.Codec
	}
	return source
}

func renditionsOf(tracks []transcoder.Track) []job.Rendition {
	var made []job.Rendition
	for _, t := range tracks {
		if t.Video() {
			made = append(made, job.Rendition{Name: t.Name, Width: t.Width, Height: t.Height, Peak: t.Peak(), Average: t.Average()})
		}
	}
	return made
}
