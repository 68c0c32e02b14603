// Package engine keeps what serves: a shelf per tenant, rebuilt when the
// catalogue changes, with a model, trained anew when there are new views.
//
//	engine.go    Engine: load, run, answer
//	refresh.go   rebuilding shelves
//	training.go  when to train, and doing it
//	metrics.go   what is measured
//
// Answers come from memory but for the viewer's own history. A shelf is
// swapped in whole, by an atomic pointer. One training runs at a time; it
// goes on when the caller who asked for it leaves. Views are taken from the
// Library, in which others record them: the engine writes model files only.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/rank"
	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

// ErrBusy tells that as many trainings wait as may.
var ErrBusy = errors.New("too many trainings wait")

// Library is what is known of videos and views.
type Library interface {
	Tenants(ctx context.Context) ([]string, error)
	Catalogue(ctx context.Context, tenant string) ([]shelf.Video, error)
	History(ctx context.Context, tenant, viewer string, limit int) ([]string, error)
	Views(ctx context.Context, tenant string, limit int) (views *sparse.Matrix, videos []string, more bool, err error)
}

// Config of an Engine; all fields are required but Registerer.
type Config struct {
	Library    Library
	Models     *model.Store
	Log        *slog.Logger
	Clock      func() time.Time
	Registerer prometheus.Registerer

	TrainDelay    time.Duration // quiet time after the last new view before a training
	TrainInterval time.Duration // shortest time between two trainings of a tenant
	RefreshEvery  time.Duration // longest time until changes made by other replicas are seen
	MaxViews      int           // pairs of viewer and video that are trained on
	MaxHistory    int           // videos of a viewer that are left out and counted
}

const (
	refreshDelay = 50 * time.Millisecond // changes within it are taken together
	checkEvery   = time.Second
	maxWaiting   = 8
)

// Engine is safe for concurrent use.
type Engine struct {
	config  Config
	metrics *metrics
	changed chan struct{} // of length 1
	jobs    chan job

	mu      sync.RWMutex
	tenants map[string]*tenant
}

// tenant is the state of one.
type tenant struct {
	name  string
	shelf atomic.Pointer[shelf.Shelf]

	mu      sync.Mutex // held while a shelf is built and swapped
	ranker  *rank.Ranker
	dirty   atomic.Bool
	plan    plan
	waiting atomic.Bool // an automatic training is queued or runs
}

// New returns an engine that serves nothing yet.
func New(config Config) (*Engine, error) {
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	return &Engine{
		config: config, metrics: m,
		changed: make(chan struct{}, 1), jobs: make(chan job, maxWaiting), tenants: map[string]*tenant{},
	}, nil
}

// Run keeps shelves fresh and trains until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { e.trainQueued(ctx) })
	defer group.Wait()
	refresh := time.NewTimer(e.config.RefreshEvery)
	defer refresh.Stop()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	soon := time.NewTimer(refreshDelay)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.changed:
			soon.Reset(refreshDelay)
		case <-soon.C:
			e.refreshDirty(ctx)
		case <-refresh.C:
			e.logged(e.Load(ctx))
			refresh.Reset(e.config.RefreshEvery)
		case <-check.C:
			e.trainWhereDue()
		}
	}
}

func (e *Engine) logged(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		e.config.Log.Error("refresh", "err", err)
	}
}

// Changed tells that the library has news of a tenant.
func (e *Engine) Changed(name string) {
	e.tenant(name).dirty.Store(true)
	select {
	case e.changed <- struct{}{}:
	default: // the loop is told already
	}
}

// tenant returns the state of a tenant, made where it is missing.
func (e *Engine) tenant(name string) *tenant {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		e.tenants[name] = t
	}
	return t
}

// all returns the state of all tenants.
func (e *Engine) all() []*tenant {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.Collect(maps.Values(e.tenants))
}

// shelf returns what serves a tenant: an empty shelf where nothing is known.
func (e *Engine) shelf(name string) *shelf.Shelf {
	e.mu.RLock()
	t := e.tenants[name]
	e.mu.RUnlock()
	if t != nil {
		if s := t.shelf.Load(); s != nil {
			return s
		}
	}
	return shelf.New(nil, nil, nil)
}

// Recommend answers for a viewer; it fills in the history of q.
func (e *Engine) Recommend(ctx context.Context, tenant, viewer string, q shelf.Query) (shelf.Answer, error) {
	history, err := e.config.Library.History(ctx, tenant, viewer, e.config.MaxHistory)
	if err != nil {
		return shelf.Answer{}, err
	}
	q.History = history
	answer, err := e.shelf(tenant).Recommend(q)
	if err != nil {
		return shelf.Answer{}, fmt.Errorf("recommend: %w", err)
	}
	e.metrics.answers.WithLabelValues(answer.Strategy).Inc()
	return answer, nil
}

// Similar answers for a video.
func (e *Engine) Similar(tenant, video string, limit int) (shelf.Answer, error) {
	return e.shelf(tenant).Similar(video, limit)
}

// Model returns the model that serves a tenant, nil without one.
func (e *Engine) Model(tenant string) *model.Model { return e.shelf(tenant).Model() }
