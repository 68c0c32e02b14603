package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/rank"
	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
)

// Load builds the shelves of all tenants, with the newest model file where
// a tenant has no model yet. A model file that cannot be read is logged and
// an older one taken.
func (e *Engine) Load(ctx context.Context) error {
	names, err := e.config.Library.Tenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, e.load(ctx, e.tenant(name)))
	}
	return errors.Join(errs...)
}

func (e *Engine) load(ctx context.Context, t *tenant) error {
	if t.shelf.Load() != nil {
		return e.rebuild(ctx, t, nil)
	}
	m, err := e.config.Models.Latest(t.name)
	if err != nil {
		e.config.Log.Error("model file not usable", "err", err)
	}
	if m != nil {
		e.config.Log.Info("model loaded", "tenant", t.name, "version", m.Version)
	}
	return e.rebuild(ctx, t, m)
}

func (e *Engine) refreshDirty(ctx context.Context) {
	for _, t := range e.all() {
		if !t.dirty.Swap(false) {
			continue
		}
		if err := e.load(ctx, t); err != nil {
			t.dirty.Store(true) // the next change or refresh tries again
			e.logged(err)
		}
	}
}

// rebuild swaps in a shelf of the present catalogue, with a new model where
// one is given and the present one otherwise. Models that are out of use are
// freed by the garbage collector, when the last answer from them is given.
func (e *Engine) rebuild(ctx context.Context, t *tenant, m *model.Model) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ranker := t.ranker
	if m != nil {
		var err error
		if ranker, err = rank.New(m.Items, m.Counts, m.Config); err != nil {
			return fmt.Errorf("use model %s: %w", m.Version, err)
		}
	} else if old := t.shelf.Load(); old != nil {
		m = old.Model()
	}
	catalogue, err := e.config.Library.Catalogue(ctx, t.name)
	if err != nil {
		return err
	}
	s := shelf.New(m, ranker, catalogue)
	t.ranker = ranker
	t.shelf.Store(s)
	if m != nil {
		t.plan.serves(m.TrainedAt, int64(m.Views))
	}
	t.plan.found(e.config.Clock(), s.Views())
	return nil
}
