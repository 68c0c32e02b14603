package worker

import (
	"context"
	"fmt"

	"github.com/backlot-video/backlot/services/transcoder/internal/job"
)

const recoverPage = 100

// Recover sees to the jobs under which an earlier process died: call it before
// Run. What they half published is taken away and they go back into the queue;
// what ended jobs left is deleted.
func (w *Worker) Recover(ctx context.Context) error {
	return w.eachUnclean(ctx, func(j job.Job) error {
		if j.State.Ended() {
			w.clean(ctx, j)
			return nil
		}
		// A queued one may have left some of a former attempt.
		if _, err := w.cfg.Place.Remove(ctx, j.OutputPrefix); err != nil {
			return fmt.Errorf("recover job %s: %w", j.ID, err)
		}
		if j.State == job.Queued {
			return nil
		}
		after, err := w.store.ChangeJob(ctx, j.ID, func(j *job.Job) error { return j.Interrupted(w.cfg.Clock()) })
		if err != nil {
			return err
		}
		w.cfg.Log.Warn("job was interrupted", "job_id", j.ID, "attempt", j.Attempt, "state", after.State.String())
		if after.State.Ended() {
			w.clean(ctx, after)
		}
		return nil
	})
}

// cleanEnded cleans up after jobs that ended without it: cancelled from
// another node, or where deleting failed.
func (w *Worker) cleanEnded(ctx context.Context) {
	err := w.eachUnclean(ctx, func(j job.Job) error {
		if j.State.Ended() && w.take(j.ID) {
			w.clean(ctx, j)
			w.release(j.ID)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		w.cfg.Log.Error("leftovers cannot be listed", "err", err)
	}
}

func (w *Worker) eachUnclean(ctx context.Context, see func(j job.Job) error) error {
	after := ""
	for {
		page, err := w.store.Unclean(ctx, after, recoverPage)
		if err != nil {
			return err
		}
		for _, j := range page {
			if err := see(j); err != nil {
				return err
			}
			after = j.ID
		}
		if len(page) < recoverPage {
			return nil
		}
	}
}

// clean deletes the source of an ended job, and its output unless it
// succeeded. What fails is tried again later.
func (w *Worker) clean(ctx context.Context, j job.Job) {
	if j.State != job.Succeeded && !w.unpublish(ctx, j) {
		return
	}
	if err := w.files.Remove(j.UploadID); err != nil {
		w.cfg.Log.Error("source of an ended job is not deleted", "job_id", j.ID, "err", err)
		return
	}
	if err := w.store.MarkClean(ctx, j.ID); err != nil {
		w.cfg.Log.Error("job is not marked clean", "job_id", j.ID, "err", err)
	}
}

func (w *Worker) unpublish(ctx context.Context, j job.Job) bool {
	_, err := w.cfg.Place.Remove(ctx, j.OutputPrefix)
	if err != nil {
		w.cfg.Log.Error("output of a job is not deleted", "job_id", j.ID, "err", err)
	}
	return err == nil
}
