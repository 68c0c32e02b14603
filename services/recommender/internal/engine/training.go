package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/trainer"
)

// plan decides when a tenant is trained. It holds no clock.
type plan struct {
	views   int64     // pairs of viewer and video there are
	learned int64     // pairs that the last training saw
	last    time.Time // when it was, also of one that failed; zero: never
	first   time.Time // of the changes since, zero: none
	latest  time.Time // of the changes since
}

// serves notes a model of so many pairs.
func (p *plan) serves(trained time.Time, views int64) {
	if trained.After(p.last) {
		p.last, p.learned = trained, views
		p.first = time.Time{}
	}
}

// found notes the number of pairs as of now.
func (p *plan) found(now time.Time, views int64) {
	if views != p.views {
		p.latest = now
	}
	p.views = views
	switch {
	case views == p.learned:
		p.first = time.Time{}
	case p.first.IsZero():
		p.first, p.latest = now, now
	}
}

// due tells whether to train now: there are changes, the last training is
// an interval ago, and changes have paused for delay or last for an interval.
func (p *plan) due(now time.Time, delay, interval time.Duration) bool {
	if p.first.IsZero() || (!p.last.IsZero() && now.Sub(p.last) < interval) {
		return false
	}
	return now.Sub(p.latest) >= delay || now.Sub(p.first) >= interval
}

// job is a training that waits. Nobody need receive from done.
type job struct {
	tenant    *tenant
	options   trainer.Options
	automatic bool
	done      chan outcome // of length 1; nil where automatic
}

type outcome struct {
	model *model.Model
	err   error
}

// Train trains and returns the model. It serves from then on, unless the
// views were shuffled. If ctx ends first, the training goes on without.
func (e *Engine) Train(ctx context.Context, tenant string, options trainer.Options) (*model.Model, error) {
	j := job{tenant: e.tenant(tenant), options: options, done: make(chan outcome, 1)}
	select {
	case e.jobs <- j:
	default:
		return nil, ErrBusy
	}
	select {
	case o := <-j.done:
		return o.model, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (e *Engine) trainWhereDue() {
	for _, t := range e.all() {
		if !e.due(t) || t.waiting.Swap(true) {
			continue
		}
		select {
		case e.jobs <- job{tenant: t, automatic: true}:
		default:
			t.waiting.Store(false) // the next check tries again
		}
	}
}

// trainQueued runs the jobs one after the other until ctx ends.
func (e *Engine) trainQueued(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			e.refuseQueued(context.Cause(ctx))
			return
		case j := <-e.jobs:
			if j.automatic {
				e.trainAutomatic(ctx, j)
				continue
			}
			m, err := e.train(ctx, j)
			j.done <- outcome{m, err}
		}
	}
}

// trainAutomatic trains unless a training that was asked for came before.
func (e *Engine) trainAutomatic(ctx context.Context, j job) {
	defer j.tenant.waiting.Store(false)
	if e.due(j.tenant) {
		_, _ = e.train(ctx, j) // it is logged, counted and planned anew
	}
}

func (e *Engine) due(t *tenant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.plan.due(e.config.Clock(), e.config.TrainDelay, e.config.TrainInterval)
}

func (e *Engine) refuseQueued(err error) {
	for {
		select {
		case j := <-e.jobs:
			if !j.automatic {
				j.done <- outcome{nil, err}
			}
		default:
			return
		}
	}
}

func (e *Engine) train(ctx context.Context, j job) (*model.Model, error) {
	start := e.config.Clock()
	m, err := e.learn(ctx, j, start)
	e.metrics.trained(e.config.Clock().Sub(start), err)
	if err != nil {
		j.tenant.mu.Lock()
		j.tenant.plan.last = start
		j.tenant.mu.Unlock()
		if ctx.Err() == nil {
			e.config.Log.Error("training", "tenant", j.tenant.name, "err", err)
		}
		return nil, err
	}
	e.config.Log.Info("model trained", "tenant", m.Tenant, "version", m.Version, "shuffled", j.options.Shuffle,
		"views", m.Views, "videos", len(m.Videos), "factors", m.Config.Factors, "popularity", m.Popularity,
		"recall", m.Quality.Recall, "popularity_recall", m.Quality.PopularityRecall, "duration", m.TrainingTime)
	return m, nil
}

func (e *Engine) learn(ctx context.Context, j job, start time.Time) (*model.Model, error) {
	views, videos, more, err := e.config.Library.Views(ctx, j.tenant.name, e.config.MaxViews)
	if err != nil {
		return nil, err
	}
	if more {
		e.config.Log.Warn("more views than are trained on", "tenant", j.tenant.name, "limit", e.config.MaxViews)
	}
	m, err := trainer.Train(ctx, views, videos, j.options)
	if err != nil {
		return nil, err
	}
	version, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("name model: %w", err)
	}
	m.Version, m.Tenant = version.String(), j.tenant.name
	m.TrainedAt = start.UTC().Truncate(time.Microsecond)
	m.TrainingTime = e.config.Clock().Sub(start)
	if j.options.Shuffle {
		return m, nil
	}
	if err := e.config.Models.Save(m); err != nil {
		return nil, err
	}
	if err := e.rebuild(ctx, j.tenant, m); err != nil {
		return nil, err
	}
	e.metrics.quality(m)
	runtime.GC() // the former model lies outside Go's heap, which does not see its size
	return m, nil
}
