// Package api serves TranscoderService: it checks whose upload or job it is
// and turns domain values into messages.
//
// Creators see what is theirs, operators and services all of their tenant;
// what a caller may not see is not found. The chain around it has checked that
// the kind of caller may call the method.
package api

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	"github.com/backlot-video/backlot/services/transcoder/internal/wire"
)

// Store keeps uploads and jobs; *store.Store is one.
type Store interface {
	Upload(ctx context.Context, id string) (upload.Upload, error)
	Job(ctx context.Context, id string) (job.Job, error)
	Jobs(ctx context.Context, f store.Filter, n int64) ([]job.Job, error)
	ChangeJob(ctx context.Context, id string, change func(j *job.Job) error) (job.Job, error)
}

// Worker runs jobs; *worker.Worker is one.
type Worker interface {
	Live(j job.Job) job.Job
	Watch(id string) (changed <-chan struct{}, stop func())
	Cancelled(ctx context.Context, j job.Job)
}

// Server implements TranscoderService.
type Server struct {
	store    Store
	worker   Worker
	received func(u upload.Upload) int64
	clock    func() time.Time
}

// New returns a server. received tells how many bytes of an upload have come.
func New(s Store, w Worker, received func(u upload.Upload) int64, clock func() time.Time) *Server {
	return &Server{store: s, worker: w, received: received, clock: clock}
}

const (
	defaultPage = 50
	// watchEvery is how often a watched job is read that may run on another
	// node.
	watchEvery = time.Second
)

// GetUpload implements TranscoderServiceServer.
func (s *Server) GetUpload(ctx context.Context, request *transcoderv1.GetUploadRequest) (*transcoderv1.GetUploadResponse, error) {
	u, err := s.store.Upload(ctx, request.GetUploadId())
	if err == nil && !visible(ctx, u.TenantID, u.CreatorID) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, coded(err)
	}
	return &transcoderv1.GetUploadResponse{Upload: wire.Upload(u, s.received(u))}, nil
}

// GetJob implements TranscoderServiceServer.
func (s *Server) GetJob(ctx context.Context, request *transcoderv1.GetJobRequest) (*transcoderv1.GetJobResponse, error) {
	j, err := s.job(ctx, request.GetJobId())
	if err != nil {
		return nil, coded(err)
	}
	return &transcoderv1.GetJobResponse{Job: wire.Job(j)}, nil
}

// job returns a job that the caller may see, with its newest progress.
func (s *Server) job(ctx context.Context, id string) (job.Job, error) {
	j, err := s.store.Job(ctx, id)
	if err == nil && !visible(ctx, j.TenantID, j.CreatorID) {
		err = store.ErrNotFound
	}
	return s.worker.Live(j), err
}

// ListJobs implements TranscoderServiceServer: newest first.
func (s *Server) ListJobs(ctx context.Context, request *transcoderv1.ListJobsRequest) (*transcoderv1.ListJobsResponse, error) {
	caller, _ := identity.From(ctx)
	filter := store.Filter{TenantID: caller.TenantID, VideoID: request.GetVideoId(), Before: request.GetPageToken()}
	if caller.Kind == identity.Creator {
		filter.CreatorID = caller.ID
	}
	size := int64(request.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	jobs, err := s.store.Jobs(ctx, filter, size+1)
	if err != nil {
		return nil, coded(err)
	}
	response := &transcoderv1.ListJobsResponse{}
	if int64(len(jobs)) > size {
		jobs = jobs[:size]
		response.NextPageToken = jobs[size-1].ID
	}
	for _, j := range jobs {
		response.Jobs = append(response.Jobs, wire.Job(s.worker.Live(j)))
	}
	return response, nil
}

// CancelJob implements TranscoderServiceServer.
func (s *Server) CancelJob(ctx context.Context, request *transcoderv1.CancelJobRequest) (*transcoderv1.CancelJobResponse, error) {
	j, err := s.store.ChangeJob(ctx, request.GetJobId(), func(j *job.Job) error {
		if !visible(ctx, j.TenantID, j.CreatorID) {
			return store.ErrNotFound
		}
		return j.Cancel(s.clock())
	})
	if err != nil {
		return nil, coded(err)
	}
	s.worker.Cancelled(ctx, j)
	return &transcoderv1.CancelJobResponse{Job: wire.Job(j)}, nil
}

// WatchJob implements TranscoderServiceStreamServer.
func (s *Server) WatchJob(ctx context.Context, request *transcoderv1.WatchJobRequest, stream *connect.ServerStream[transcoderv1.WatchJobResponse]) error {
	return s.watch(ctx, request.GetJobId(), func(j job.Job) error {
		return stream.Send(&transcoderv1.WatchJobResponse{Job: wire.Job(j)})
	})
}

// watch sends a job at once and after each change until it ends.
func (s *Server) watch(ctx context.Context, id string, send func(j job.Job) error) error {
	changed, stop := s.worker.Watch(id)
	defer stop()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var last job.Job
	for {
		j, err := s.job(ctx, id)
		if err != nil {
			return coded(err)
		}
		if j.State != last.State || j.Progress != last.Progress || j.Attempt != last.Attempt {
			if err := send(j); err != nil {
				return err
			}
			last = j
		}
		if j.State.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return coded(context.Cause(ctx))
		case <-changed:
		case <-ticker.C:
		}
	}
}

func visible(ctx context.Context, tenant, creator string) bool {
	caller, found := identity.From(ctx)
	return found && caller.TenantID == tenant && (caller.Kind != identity.Creator || caller.ID == creator)
}
