// Package service wires the recommender: facts into its store, trainings
// and shelves in its engine, answers by its contract.
package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	backlotsql "github.com/backlot-video/backlot/sql"

	"github.com/backlot-video/backlot/services/recommender/internal/api"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/engine"
	"github.com/backlot-video/backlot/services/recommender/internal/intake"
	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/store"
)

const name = "recommender"

// Config has the recommender's settings.
type Config struct {
	// TrainDelay is the quiet time after the last new view before a
	// training; default 10 s.
	TrainDelay time.Duration
	// TrainInterval is the shortest time between two trainings; default 10 m.
	TrainInterval time.Duration
	// RefreshInterval is the longest time until changes that another replica
	// recorded are seen; default 15 s.
	RefreshInterval time.Duration
	// KeepModels is the number of model files kept; default 3.
	KeepModels int
	// ModelBytes is the most bytes of a model file; default 1 GiB.
	ModelBytes int64
	// MaxViews is the most pairs of viewer and video that are trained on;
	// default 20,000,000.
	MaxViews int
	// MaxHistory is the most videos of one viewer, latest first, that are
	// left out of the answers and taken for taste; default 2,000.
	MaxHistory int
	// Import names a CSV file of views that is read before serving.
	Import string
}

// Service is the recommender.
type Service struct{ config Config }

// New returns the recommender with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	c := &s.config
	set.Duration(&c.TrainDelay, "train-delay", 10*time.Second, "quiet `time` after the last new view before a training")
	set.Duration(&c.TrainInterval, "train-interval", 10*time.Minute, "shortest `time` between two trainings")
	set.Duration(&c.RefreshInterval, "refresh-interval", 15*time.Second, "longest `time` until changes that another replica recorded are seen")
	set.Int(&c.KeepModels, "keep-models", 3, "`number` of model files kept")
	set.Size(&c.ModelBytes, "model-bytes", 1<<30, "most `bytes` of a model file")
	set.Int(&c.MaxViews, "max-views", 20_000_000, "most `pairs` of viewer and video that are trained on")
	set.Int(&c.MaxHistory, "max-history", 2000, "most `videos` of one viewer, latest first, that are left out and taken for taste")
	set.String(&c.Import, "import", "", "CSV `file` of views (viewer_id,video_id[,unix_seconds]) that is read before serving; empty: none")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New("recommender."+fault))
		}
	}
	c := s.config
	check(c.TrainDelay >= 0, "train-delay: must not be below 0")
	check(c.TrainInterval >= time.Second, "train-interval: must be at least 1s")
	check(c.RefreshInterval >= time.Second, "refresh-interval: must be at least 1s")
	check(c.KeepModels >= 1, "keep-models: must be at least 1")
	check(c.ModelBytes >= 1<<20, "model-bytes: must be at least 1MiB")
	check(c.MaxViews >= 1, "max-views: must be at least 1")
	check(c.MaxHistory >= 1, "max-history: must be at least 1")
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	db, err := host.Database(ctx, backlotsql.Migrations(name))
	if err != nil {
		return err
	}
	broker, err := host.MQ(ctx)
	if err != nil {
		return err
	}
	if err := s.importViews(ctx, host, db); err != nil {
		return err
	}
	e, err := engine.New(engine.Config{
		Library: store.New(db),
		Models:  &model.Store{Dir: filepath.Join(host.DataDir, "models"), Keep: s.config.KeepModels, MaxBytes: s.config.ModelBytes},
		Log:     host.Log, Clock: host.Clock, Registerer: host.Registerer,
		TrainDelay: s.config.TrainDelay, TrainInterval: s.config.TrainInterval, RefreshEvery: s.config.RefreshInterval,
		MaxViews: s.config.MaxViews, MaxHistory: s.config.MaxHistory,
	})
	if err != nil {
		return err
	}
	if err := e.Load(ctx); err != nil {
		return err
	}
	blends := informer.New[*recommenderv1alpha1.Blend](host.Source(), "Blend", informer.Config{
		SnapshotFile: host.Snapshot("Blend"), Log: host.Log, Registerer: host.Registerer,
	})
	host.Handle(recommenderv1alpha1.RecommenderServiceDesc, &api.Server{
		Engine: e,
		Blend: func() *recommenderv1alpha1.Blend {
			blend, _ := blends.Get("", "default")
			return blend
		},
	})
	facts := &intake.Intake{DB: db, Log: host.Log, Clock: host.Clock, Changed: e.Changed}
	host.Go("blends", blends.Run)
	host.Go("engine", e.Run)
	host.Go("inbox", facts.Run)
	host.Go("intake", func(ctx context.Context) error {
		return broker.Consume(ctx, mq.Consumer{
			Durable: intake.Consumer, Subjects: mq.Subjects(intake.Types...), Handler: facts.Handle,
		})
	})
	host.Log.Info("matrices", "blas", blas.Backend())
	host.Ready()
	<-ctx.Done()
	return nil
}

// importViews reads the file of views, where there is one.
func (s *Service) importViews(ctx context.Context, host *lifecycle.Host, db *database.DB) error {
	if s.config.Import == "" {
		return nil
	}
	file, err := os.Open(s.config.Import)
	if err != nil {
		return fmt.Errorf("recommender.import: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines, err := intake.Import(ctx, db, identity.DefaultTenant, file)
	if err != nil {
		return fmt.Errorf("recommender.import: %s: %w", s.config.Import, err)
	}
	host.Log.Info("views imported", "lines", lines)
	return nil
}
