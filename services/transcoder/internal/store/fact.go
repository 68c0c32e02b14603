package store

import (
	"context"
	"database/sql"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/wire"
)

// factOf is the fact that a job tells on entering its state, "" for none.
func factOf(j job.Job) (string, proto.Message) {
	message := wire.Job(j)
	switch j.State {
	case job.Probing:
		return "job_started", &transcoderv1.JobStarted{Job: message}
	case job.Succeeded:
		return "job_succeeded", &transcoderv1.JobSucceeded{Job: message}
	case job.Failed, job.Cancelled:
		return "job_failed", &transcoderv1.JobFailed{Job: message}
	default:
		return "", nil
	}
}

// tell puts a fact about a video into the outbox.
func (s *Store) tell(ctx context.Context, tx *sql.Tx, tenant, video, fact string, message proto.Message) error {
	data, err := anypb.New(message)
	if err != nil {
		return err
	}
	err = s.cfg.AddFact(ctx, tx, &eventv1.Envelope{
		TenantId: tenant, Type: "backlot.transcoder." + fact + ".v1", Source: "transcoder", Key: video,
		OccurredAt: s.cfg.Clock().UnixMicro(), Data: data,
	})
	if err != nil {
		return fmt.Errorf("tell %s: %w", fact, err)
	}
	return nil
}
