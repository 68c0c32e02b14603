package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

// JobHeader names the job made of an upload, in the answer to its last bytes.
const JobHeader = "Backlot-Job"

// created checks an upload and notes it before tusd makes its file: a file
// without a note is never seen.
func (in *Intake) created(event handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
	u, err := in.create(event.Context, event.Upload)
	if err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, in.answer(event.Context, err)
	}
	in.metrics.uploads.WithLabelValues("created").Inc()
	return handler.HTTPResponse{}, handler.FileInfoChanges{
		ID:       u.ID,
		MetaData: handler.MetaData{upload.MetaVideo: u.VideoID, upload.MetaFilename: u.Filename},
	}, nil
}

func (in *Intake) create(ctx context.Context, info handler.FileInfo) (upload.Upload, error) {
	caller, found := identity.From(ctx)
	if !found || caller.Kind != identity.Creator {
		return upload.Upload{}, errors.New("upload without a creator")
	}
	if err := in.cfg.Ready(); err != nil {
		in.cfg.Log.ErrorContext(ctx, "uploads are refused", "err", err)
		return upload.Upload{}, refusal("ERR_NOT_READY", err.Error(), http.StatusServiceUnavailable)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return upload.Upload{}, err
	}
	u, err := upload.New(id.String(), caller.TenantID, caller.ID, info.MetaData, info.Size, in.cfg.MaxBytes, in.cfg.Clock())
	if err != nil {
		return u, err
	}
	if in.cfg.Video != nil {
		if err := in.cfg.Video(ctx, caller, u.VideoID); err != nil {
			return u, fmt.Errorf("video %s: %w", u.VideoID, err)
		}
	}
	if err := in.store.Admit(ctx, u.TenantID, u.CreatorID); err != nil {
		return u, err
	}
	return u, in.store.CreateUpload(ctx, u)
}

// finished makes the job before the client hears that all bytes are there.
func (in *Intake) finished(event handler.HookEvent) (handler.HTTPResponse, error) {
	j, err := in.finish(event.Context, event.Upload.ID)
	if err != nil {
		return handler.HTTPResponse{}, in.answer(event.Context, err)
	}
	return handler.HTTPResponse{Header: handler.HTTPHeader{JobHeader: j.ID}}, nil
}

func (in *Intake) finish(ctx context.Context, id string) (job.Job, error) {
	j, err := in.store.FinishUpload(ctx, id)
	if err != nil {
		return j, err
	}
	in.metrics.uploads.WithLabelValues("finished").Inc()
	in.cfg.Log.InfoContext(ctx, "upload finished", "upload_id", id, "job_id", j.ID)
	in.cfg.Finished(j)
	return j, nil
}

// terminated notes that an upload is given up before tusd deletes its file.
func (in *Intake) terminated(event handler.HookEvent) (handler.HTTPResponse, error) {
	if err := in.store.DiscardUpload(event.Context, event.Upload.ID, "deleted by its creator"); err != nil {
		return handler.HTTPResponse{}, in.answer(event.Context, err)
	}
	in.metrics.uploads.WithLabelValues("deleted").Inc()
	return handler.HTTPResponse{}, nil
}
