package store

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	"github.com/backlot-video/backlot/services/transcoder/internal/wire"
	transcoderdb "github.com/backlot-video/backlot/sql/gen/transcoder"
)

func uploadOf(r transcoderdb.Upload) upload.Upload {
	return upload.Upload{
		ID: r.ID, TenantID: r.TenantID, VideoID: r.VideoID, CreatorID: r.CreatorID, Filename: r.Filename,
		Size: r.SizeBytes, State: upload.State(r.State), Problem: r.Problem, JobID: r.JobID,
		Created: time.UnixMicro(r.CreatedAt), Updated: time.UnixMicro(r.UpdatedAt),
	}
}

func jobOf(r transcoderdb.Job) (job.Job, error) {
	j := job.Job{
		ID: r.ID, TenantID: r.TenantID, UploadID: r.UploadID, VideoID: r.VideoID, CreatorID: r.CreatorID,
		State: job.State(r.State), Progress: uint32(r.ProgressPpm), Attempt: int(r.Attempt), Problem: r.Problem,
		OutputPrefix: r.OutputPrefix, Due: time.UnixMicro(r.DueAt),
		Created: time.UnixMicro(r.CreatedAt), Updated: time.UnixMicro(r.UpdatedAt),
	}
	if len(r.Source) > 0 {
		m := new(transcoderv1.Media)
		if err := proto.Unmarshal(r.Source, m); err != nil {
			return j, fmt.Errorf("source of job %s: %w", r.ID, err)
		}
		j.Source = wire.DomainMedia(m)
	}
	made := new(transcoderv1.Job)
	if err := proto.Unmarshal(r.Renditions, made); err != nil {
		return j, fmt.Errorf("renditions of job %s: %w", r.ID, err)
	}
	j.Renditions = wire.DomainRenditions(made.GetRenditions())
	return j, nil
}

// blobs are a job's columns that hold messages, neither of them nil. The
// renditions are those of a Job message without other fields.
func blobs(j job.Job) (source, renditions []byte, err error) {
	source = []byte{}
	if j.Source != nil {
		if source, err = proto.Marshal(wire.Media(j.Source)); err != nil {
			return nil, nil, err
		}
	}
	renditions, err = proto.Marshal(&transcoderv1.Job{Renditions: wire.Renditions(j.Renditions)})
	return source, append([]byte{}, renditions...), err
}
