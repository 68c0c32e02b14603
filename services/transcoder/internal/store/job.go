package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	transcoderdb "github.com/backlot-video/backlot/sql/gen/transcoder"
)

// points are hit before and after the commit that brings a job into a state.
type points struct{ before, after crashpoint.Point }

var changed = map[job.State]points{
	job.Probing:     {crashpoint.New("transcoder/job-probing/before"), crashpoint.New("transcoder/job-probing/after")},
	job.Transcoding: {crashpoint.New("transcoder/job-transcoding/before"), crashpoint.New("transcoder/job-transcoding/after")},
	job.Packaging:   {crashpoint.New("transcoder/job-packaging/before"), crashpoint.New("transcoder/job-packaging/after")},
	job.Succeeded:   {crashpoint.New("transcoder/job-succeeded/before"), crashpoint.New("transcoder/job-succeeded/after")},
}

var (
	beforeClean = crashpoint.New("transcoder/job-clean/before")
	afterClean  = crashpoint.New("transcoder/job-clean/after")
)

func (s *Store) insertJob(ctx context.Context, q *transcoderdb.Queries, j job.Job) error {
	source, renditions, err := blobs(j)
	if err != nil {
		return err
	}
	return q.InsertJob(ctx, transcoderdb.InsertJobParams{
		ID: j.ID, TenantID: j.TenantID, Node: s.cfg.Node, UploadID: j.UploadID, VideoID: j.VideoID, CreatorID: j.CreatorID,
		State: int32(j.State), Source: source, Renditions: renditions, OutputPrefix: j.OutputPrefix, CreatedAt: j.Created.UnixMicro(),
	})
}

func getJob(ctx context.Context, q *transcoderdb.Queries, id string) (job.Job, error) {
	row, err := q.GetJob(ctx, id)
	if err != nil {
		return job.Job{}, notFound(err)
	}
	return jobOf(row)
}

// Job returns a job of any node, or ErrNotFound.
func (s *Store) Job(ctx context.Context, id string) (job.Job, error) {
	j, err := getJob(ctx, s.read(), id)
	if err != nil {
		return j, fmt.Errorf("job %s: %w", id, err)
	}
	return j, nil
}

// ChangeJob reads a job, lets change change it and writes it, with the fact
// that tells of its new state. If the job failed or was cancelled, its upload
// is discarded too. An error of change, as job.ErrTransition, changes nothing.
// change may run more than once.
func (s *Store) ChangeJob(ctx context.Context, id string, change func(j *job.Job) error) (after job.Job, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx, q *transcoderdb.Queries) error {
		before, err := getJob(ctx, q, id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		if after.State == before.State {
			return nil
		}
		if err := s.updateJob(ctx, q, before, after); err != nil {
			return err
		}
		if after.State == job.Failed || after.State == job.Cancelled {
			if err := s.discardSource(ctx, q, after); err != nil {
				return err
			}
		}
		if fact, message := factOf(after); fact != "" {
			err = s.tell(ctx, tx, after.TenantID, after.VideoID, fact, message)
		}
		changed[after.State].before.Hit()
		return err
	})
	if err != nil {
		return after, fmt.Errorf("change job %s: %w", id, err)
	}
	changed[after.State].after.Hit()
	return after, nil
}

func (s *Store) updateJob(ctx context.Context, q *transcoderdb.Queries, before, after job.Job) error {
	source, renditions, err := blobs(after)
	if err != nil {
		return err
	}
	n, err := q.UpdateJob(ctx, transcoderdb.UpdateJobParams{
		ID: after.ID, State: int32(after.State), ProgressPpm: int64(after.Progress), Attempt: int32(after.Attempt),
		Problem: after.Problem, Source: source, Renditions: renditions, DueAt: after.Due.UnixMicro(),
		UpdatedAt: after.Updated.UnixMicro(), FromState: int32(before.State), FromAttempt: int32(before.Attempt),
	})
	if err == nil && n != 1 {
		err = job.ErrTransition
	}
	return err
}

func (s *Store) discardSource(ctx context.Context, q *transcoderdb.Queries, j job.Job) error {
	row, err := q.GetUpload(ctx, j.UploadID)
	if err != nil {
		return notFound(err)
	}
	u := uploadOf(row)
	if u.State != upload.Finished {
		return nil
	}
	u.Discard(j.Problem, j.Updated)
	return s.moveUpload(ctx, q, u, upload.Finished)
}

// SaveProgress writes how far a running job is. It is job.ErrTransition if the
// job is no longer in this state of this attempt.
func (s *Store) SaveProgress(ctx context.Context, j job.Job) error {
	return s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *transcoderdb.Queries) error {
		n, err := q.SetProgress(ctx, transcoderdb.SetProgressParams{
			ID: j.ID, State: int32(j.State), Attempt: int32(j.Attempt), ProgressPpm: int64(j.Progress), UpdatedAt: j.Updated.UnixMicro(),
		})
		if err == nil && n != 1 {
			err = job.ErrTransition
		}
		return err
	})
}

// Due returns the ids of up to n queued jobs of this node that may start by
// now, the one due longest first.
func (s *Store) Due(ctx context.Context, now time.Time, n int64) ([]string, error) {
	ids, err := s.read().ListDue(ctx, transcoderdb.ListDueParams{Node: s.cfg.Node, State: int32(job.Queued), Now: now.UnixMicro(), PageSize: n})
	if err != nil {
		return nil, fmt.Errorf("list due jobs: %w", err)
	}
	return ids, nil
}

// Unclean returns up to n jobs of this node, with ids above after, of which
// more than their output is left: those not ended, and those whose end was not
// followed by MarkClean.
func (s *Store) Unclean(ctx context.Context, after string, n int64) ([]job.Job, error) {
	rows, err := s.read().ListUnclean(ctx, transcoderdb.ListUncleanParams{Node: s.cfg.Node, After: after, PageSize: n})
	if err != nil {
		return nil, fmt.Errorf("list unclean jobs: %w", err)
	}
	return jobsOf(rows)
}

// MarkClean notes that nothing is left of an ended job but its output.
func (s *Store) MarkClean(ctx context.Context, id string) error {
	err := s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *transcoderdb.Queries) error {
		err := q.MarkClean(ctx, id)
		beforeClean.Hit()
		return err
	})
	if err != nil {
		return fmt.Errorf("mark job %s clean: %w", id, err)
	}
	afterClean.Hit()
	return nil
}

// Filter narrows Jobs; empty fields but the tenant mean all.
type Filter struct {
	TenantID, VideoID, CreatorID string
	Before                       string // only ids below it; empty: from the newest
}

// lastID is above every UUID in any collation.
const lastID = "z"

// Jobs returns up to n jobs of all nodes, newest first.
func (s *Store) Jobs(ctx context.Context, f Filter, n int64) ([]job.Job, error) {
	if f.Before == "" {
		f.Before = lastID
	}
	rows, err := s.read().ListJobs(ctx, transcoderdb.ListJobsParams{TenantID: f.TenantID, VideoID: f.VideoID, CreatorID: f.CreatorID, Before: f.Before, PageSize: n})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return jobsOf(rows)
}

func jobsOf(rows []transcoderdb.Job) ([]job.Job, error) {
	all := make([]job.Job, 0, len(rows))
	for _, row := range rows {
		j, err := jobOf(row)
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}
