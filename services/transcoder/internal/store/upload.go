package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/crashpoint"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	"github.com/backlot-video/backlot/services/transcoder/internal/wire"
	transcoderdb "github.com/backlot-video/backlot/sql/gen/transcoder"
)

var (
	beforeCreate = crashpoint.New("transcoder/upload-created/before")
	afterCreate  = crashpoint.New("transcoder/upload-created/after")
	beforeFinish = crashpoint.New("transcoder/upload-finished/before")
	afterFinish  = crashpoint.New("transcoder/upload-finished/after")
)

// Admit returns ErrBusy if no further upload of a creator can be taken now.
func (s *Store) Admit(ctx context.Context, tenant, creator string) error {
	queued, err := s.read().CountJobs(ctx, transcoderdb.CountJobsParams{Node: s.cfg.Node, State: int32(job.Queued)})
	if err != nil {
		return fmt.Errorf("count jobs: %w", err)
	}
	if queued >= s.cfg.MaxQueued {
		return fmt.Errorf("%w: %d jobs are queued; try again later", ErrBusy, queued)
	}
	open, err := s.read().CountUploads(ctx, transcoderdb.CountUploadsParams{TenantID: tenant, CreatorID: creator, State: int32(upload.Receiving)})
	if err != nil {
		return fmt.Errorf("count uploads: %w", err)
	}
	if open >= s.cfg.MaxOpen {
		return fmt.Errorf("%w: you have %d unfinished uploads; finish or delete one", ErrBusy, open)
	}
	return nil
}

// Queued returns how many jobs wait here.
func (s *Store) Queued(ctx context.Context) (int64, error) {
	return s.read().CountJobs(ctx, transcoderdb.CountJobsParams{Node: s.cfg.Node, State: int32(job.Queued)})
}

// CreateUpload adds an upload that is being received here.
func (s *Store) CreateUpload(ctx context.Context, u upload.Upload) error {
	err := s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *transcoderdb.Queries) error {
		err := q.InsertUpload(ctx, transcoderdb.InsertUploadParams{
			ID: u.ID, TenantID: u.TenantID, Node: s.cfg.Node, VideoID: u.VideoID, CreatorID: u.CreatorID,
			Filename: u.Filename, SizeBytes: u.Size, State: int32(u.State), CreatedAt: u.Created.UnixMicro(),
		})
		beforeCreate.Hit()
		return err
	})
	if err != nil {
		return fmt.Errorf("create upload: %w", err)
	}
	afterCreate.Hit()
	return nil
}

// Upload returns an upload of any node, or ErrNotFound.
func (s *Store) Upload(ctx context.Context, id string) (upload.Upload, error) {
	row, err := s.read().GetUpload(ctx, id)
	if err != nil {
		return upload.Upload{}, fmt.Errorf("upload %s: %w", id, notFound(err))
	}
	return uploadOf(row), nil
}

// Receiving returns up to n unfinished uploads of this node with ids above
// after.
func (s *Store) Receiving(ctx context.Context, after string, n int64) ([]upload.Upload, error) {
	rows, err := s.read().ListUploads(ctx, transcoderdb.ListUploadsParams{Node: s.cfg.Node, State: int32(upload.Receiving), After: after, PageSize: n})
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	var all []upload.Upload
	for _, row := range rows {
		all = append(all, uploadOf(row))
	}
	return all, nil
}

// FinishUpload makes the job of an upload whose bytes are all there and
// returns it. Of an upload that is finished it returns the job that it made
// then; a discarded one is upload.ErrTransition.
func (s *Store) FinishUpload(ctx context.Context, id string) (made job.Job, err error) {
	jobID, err := uuid.NewV7()
	if err != nil {
		return made, err
	}
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx, q *transcoderdb.Queries) error {
		row, err := q.GetUpload(ctx, id)
		if err != nil {
			return notFound(err)
		}
		u := uploadOf(row)
		if u.State == upload.Finished {
			made, err = getJob(ctx, q, u.JobID)
			return err
		}
		now := s.cfg.Clock()
		if err := u.Finish(jobID.String(), now); err != nil {
			return err
		}
		made = job.New(u.JobID, u.TenantID, u.ID, u.VideoID, u.CreatorID, now)
		if err := s.insertJob(ctx, q, made); err != nil {
			return err
		}
		if err := s.moveUpload(ctx, q, u, upload.Receiving); err != nil {
			return err
		}
		err = s.tell(ctx, tx, u.TenantID, u.VideoID, "upload_finished", &transcoderv1.UploadFinished{Upload: wire.Upload(u, u.Size)})
		beforeFinish.Hit()
		return err
	})
	if err != nil {
		return made, fmt.Errorf("finish upload %s: %w", id, err)
	}
	afterFinish.Hit()
	return made, nil
}

// DiscardUpload gives up an upload that is being received; a finished one is
// upload.ErrTransition.
func (s *Store) DiscardUpload(ctx context.Context, id, problem string) error {
	err := s.write(ctx, func(ctx context.Context, _ *sql.Tx, q *transcoderdb.Queries) error {
		row, err := q.GetUpload(ctx, id)
		if err != nil {
			return notFound(err)
		}
		u := uploadOf(row)
		if u.State == upload.Discarded {
			return nil
		}
		if u.State != upload.Receiving {
			return fmt.Errorf("%w: %s", upload.ErrTransition, u.State)
		}
		u.Discard(problem, s.cfg.Clock())
		return s.moveUpload(ctx, q, u, upload.Receiving)
	})
	if err != nil {
		return fmt.Errorf("discard upload %s: %w", id, err)
	}
	return nil
}

func (s *Store) moveUpload(ctx context.Context, q *transcoderdb.Queries, u upload.Upload, from upload.State) error {
	n, err := q.MoveUpload(ctx, transcoderdb.MoveUploadParams{
		ID: u.ID, State: int32(u.State), Problem: u.Problem, JobID: u.JobID, UpdatedAt: u.Updated.UnixMicro(), FromState: int32(from),
	})
	if err == nil && n != 1 {
		err = upload.ErrTransition
	}
	return err
}
