// Package service wires the transcoder: uploads into its store, jobs to its
// workers, output into the bucket `media`, answers by its contract.
package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	backlotsql "github.com/backlot-video/backlot/sql"

	"github.com/backlot-video/backlot/services/transcoder"
	"github.com/backlot-video/backlot/services/transcoder/internal/api"
	"github.com/backlot-video/backlot/services/transcoder/internal/intake"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/wire"
	"github.com/backlot-video/backlot/services/transcoder/internal/worker"
)

const (
	name       = "transcoder"
	bucketName = "media"
	ladderKind = "Ladder"
	ladderName = "default"
	sweepEvery = time.Minute
)

// Service is the transcoder.
type Service struct{ config Config }

// New returns the transcoder with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) { s.config.register(set) }

// Validate implements lifecycle.Service.
func (s *Service) Validate() error { return s.config.validate() }

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	jobs, err := s.openStore(ctx, host)
	if err != nil {
		return err
	}
	runtime, err := s.newRuntime(host)
	if err != nil {
		return err
	}
	defer runtime.Close()
	ladders := informer.New[*transcoderv1.Ladder](host.Source(), ladderKind, informer.Config{
		SnapshotFile: host.Snapshot(ladderKind), Log: host.Log, Registerer: host.Registerer,
	})
	bucket, err := host.Bucket(ctx, bucketName)
	if err != nil {
		return err
	}
	dir, _ := host.BucketDir(bucketName)
	var work *worker.Worker // made after the intake, which tells it of jobs
	uploads, err := intake.New(jobs, intake.Config{
		Dir: filepath.Join(host.DataDir, "uploads"), MaxBytes: s.config.MaxUpload, Expiry: s.config.UploadExpiry,
		Ready: runtime.Check, Video: s.owner(host), Finished: func(job.Job) { work.Wake() },
		Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	if err != nil {
		return err
	}
	work, err = worker.New(runtime, jobs, uploads, worker.Config{
		Workers: s.config.Workers, Place: transcoder.Place{Bucket: bucket, Dir: dir},
		Ladder: func() transcoder.Ladder {
			configured, _ := ladders.Get("", ladderName)
			return wire.DomainLadder(configured)
		},
		Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	if err != nil {
		return err
	}
	if err := errors.Join(work.Recover(ctx), uploads.Recover(ctx)); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	host.Handle(transcoderv1.TranscoderServiceDesc, api.New(jobs, work, uploads.Received, host.Clock))
	host.HandleHTTP(intake.BasePath, uploads)
	host.EnsureObjects(lifecycle.Default{Kind: ladderKind, Name: ladderName, Spec: wire.Ladder(ladder.Default)})
	host.Go("ladders", ladders.Run)
	host.Go("sweep", func(ctx context.Context) error { return sweep(ctx, host, uploads) })
	host.Ready()
	return work.Run(ctx)
}

// openStore opens the database and publishes its facts.
func (s *Service) openStore(ctx context.Context, host *lifecycle.Host) (*store.Store, error) {
	db, err := host.Database(ctx, backlotsql.Migrations(name))
	if err != nil {
		return nil, err
	}
	broker, err := host.MQ(ctx)
	if err != nil {
		return nil, err
	}
	node, err := nodeID(host.DataDir)
	if err != nil {
		return nil, fmt.Errorf("name of the data folder: %w", err)
	}
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: name, DB: db, Client: broker, Log: host.Log, Clock: host.Clock})
	host.Go("outbox", outbox.Run)
	return store.New(db, store.Config{
		Node: node, AddFact: outbox.Add, Clock: host.Clock,
		MaxQueued: int64(s.config.MaxQueued), MaxOpen: int64(s.config.MaxUploads),
	}), nil
}

// newRuntime makes the runtime also where FFmpeg is missing: the service then
// says so and refuses uploads until it is installed.
func (s *Service) newRuntime(host *lifecycle.Host) (*transcoder.Runtime, error) {
	runtime, err := transcoder.New(transcoder.Config{
		Dir: filepath.Join(host.DataDir, "runtime"), FFmpeg: s.config.FFmpeg, FFprobe: s.config.FFprobe,
		Limits: transcoder.Limits{Duration: s.config.MaxDuration}, Stall: s.config.Stall, Nice: s.config.Nice,
	}, host.Log)
	if err != nil {
		return nil, err
	}
	if err := runtime.Check(); err != nil {
		host.Log.Error("uploads are refused until FFmpeg is there", "err", err)
	}
	host.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "backlot_transcoder_ffmpeg_installed_tools", Help: "1 if ffmpeg and ffprobe are installed, else 0: uploads are refused.",
	}, func() float64 {
		if runtime.Check() != nil {
			return 0
		}
		return 1
	}))
	return runtime, nil
}

// owner asks the catalogue whether a video is the creator's.
func (s *Service) owner(host *lifecycle.Host) func(ctx context.Context, creator identity.Principal, videoID string) error {
	if s.config.Catalogue == "" {
		return nil
	}
	catalogue := storefrontv1.NewCatalogueServiceClient(host.Dial(s.config.Catalogue))
	return func(ctx context.Context, creator identity.Principal, videoID string) error {
		response, err := catalogue.GetVideo(ctx, &storefrontv1.GetVideoRequest{VideoId: videoID})
		if err != nil {
			switch connect.CodeOf(err) {
			case connect.CodeNotFound:
				return intake.ErrVideo
			case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeResourceExhausted:
				host.Log.Warn("catalogue does not answer", "catalogue", s.config.Catalogue, "err", err)
				return intake.ErrUnavailable
			default:
				return fmt.Errorf("ask %s: %w", s.config.Catalogue, err)
			}
		}
		if response.GetVideo().GetCreatorId() != creator.ID {
			return intake.ErrVideo
		}
		return nil
	}
}

func sweep(ctx context.Context, host *lifecycle.Host, uploads *intake.Intake) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := uploads.Sweep(ctx); err != nil && ctx.Err() == nil {
			host.Log.Error("unfinished uploads are not swept", "err", err)
		}
	}
}

// nodeID names the data folder, whose uploads and jobs are this process's. It
// is made at the first start.
func nodeID(dir string) (string, error) {
	path := filepath.Join(dir, "node")
	text, err := file.Once(path, func() []byte { return []byte(uuid.NewString() + "\n") })
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(text))
	if uuid.Validate(id) != nil {
		return "", fmt.Errorf("%s: no UUID in it", path)
	}
	return id, nil
}
