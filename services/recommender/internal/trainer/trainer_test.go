package trainer

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

func TestTrainIsReproducible(t *testing.T) {
	w := towns["few people"]
	one, err := Train(t.Context(), w.views(t, 1), w.videos(), Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := Train(t.Context(), w.views(t, 1), w.videos(), Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if !slices.Equal(one.Items.Data(), two.Items.Data()) || one.Quality != two.Quality {
		t.Error("the same seed gave another model")
	}
}

func TestTrainDescribesTheModel(t *testing.T) {
	w := towns["few people"]
	views := w.views(t, 1)
	var last, of int
	m, err := Train(t.Context(), views, w.videos(), Options{Progress: func(done, total int) {
		if done != last+1 {
			t.Errorf("progress went from %d to %d", last, done)
		}
		last, of = done, total
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if last != of || of == 0 {
		t.Errorf("progress ended at %d of %d", last, of)
	}
	if m.Viewers != 120 || m.Views != uint64(views.Len()) || m.Quality.Viewers != 60 || m.Backend != blas.Backend() {
		t.Errorf("got %d viewers, %d views, %d measured, backend %s", m.Viewers, m.Views, m.Quality.Viewers, m.Backend)
	}
	m.Version = "v"
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTooFewViewsGivePopularity(t *testing.T) {
	for _, pairs := range [][]sparse.Pair{nil, {{Row: 0, Col: 1}, {Row: 1, Col: 1}}} {
		views, err := sparse.New(2, 3, pairs)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Train(t.Context(), views, []string{"a", "b", "c"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		if m.Popularity != 1 || m.Quality.Viewers != 0 {
			t.Errorf("%d views: popularity's weight is %g", len(pairs), m.Popularity)
		}
	}
}

func TestTrainWithoutVideos(t *testing.T) {
	views, err := sparse.New(0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Train(t.Context(), views, nil, Options{Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

func TestCancelledTrainingFreesItsMemory(t *testing.T) {
	before := blas.LiveBytes()
	w := towns["few people"]
	for stop := 1; stop < 72; stop += 14 {
		ctx, cancel := context.WithCancel(t.Context())
		m, err := Train(ctx, w.views(t, 1), w.videos(), Options{Progress: func(done, _ int) {
			if done == stop {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			m.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d half sweeps: %v", stop, err)
		}
	}
	if got := blas.LiveBytes(); got > before {
		t.Errorf("%d bytes leaked", got-before)
	}
}

func TestTrainRefusesOtherLengths(t *testing.T) {
	views, err := sparse.New(1, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Train(t.Context(), views, []string{"a"}, Options{}); err == nil {
		t.Error("2 columns for 1 video were accepted")
	}
}
