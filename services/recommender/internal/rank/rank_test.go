package rank

import (
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/als"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/topk"
)

// ranker has videos 0 to 2 of one taste, 3 to 5 of another, 6 without views.
func ranker(t *testing.T) *Ranker {
	t.Helper()
	items, err := blas.New(7, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(items.Close)
	copy(items.Data(), []float32{1, 0, 0.9, 0.1, 0.8, 0, 0, 1, 0.1, 0.9, 0, 0.8, 0, 0})
	r, err := New(items, []uint32{5, 6, 7, 50, 60, 70, 0}, als.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func order(scores []float32) []uint32 {
	var all []uint32
	for _, item := range topk.Select(scores, len(scores), nil, nil) {
		all = append(all, item.Index)
	}
	return all
}

func TestViewerMixesTasteAndPopularity(t *testing.T) {
	r := ranker(t)
	scores := make([]float32, 7)
	for _, c := range []struct {
		viewed     []uint32
		popularity float32
		first      uint32
	}{{nil, 0, 5}, {[]uint32{1}, 1, 5}, {[]uint32{2}, 0, 0}, {[]uint32{4}, 0, 3}} {
		if err := r.Viewer(c.viewed, c.popularity, scores); err != nil {
			t.Fatal(err)
		}
		if got := order(scores); got[0] != c.first {
			t.Errorf("viewed %v, popularity %g: order %v, want %d first", c.viewed, c.popularity, got, c.first)
		}
	}
	if got := order(scores); !slices.Contains(got[:3], 5) {
		t.Errorf("viewed 4: order %v", got)
	}
}

func TestSimilarIsTheCosine(t *testing.T) {
	r := ranker(t)
	scores := make([]float32, 7)
	r.Similar(1, scores)
	want := []float64{0.9 / math.Sqrt(0.82), 1, 0.9 / math.Sqrt(0.82), 0.1 / math.Sqrt(0.82), 0.18 / 0.82, 0.1 / math.Sqrt(0.82), 0}
	for i := range want {
		if math.Abs(float64(scores[i])-want[i]) > 1e-6 {
			t.Errorf("similarity with %d is %g, want %g", i, scores[i], want[i])
		}
	}
	r.Similar(6, scores)
	if !slices.Equal(scores, make([]float32, 7)) {
		t.Errorf("a video without views is similar: %v", scores)
	}
}

func TestViewerOfManyGoroutines(t *testing.T) {
	r := ranker(t)
	want := make([]float32, 7)
	if err := r.Viewer([]uint32{0, 4}, 0.2, want); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			got := make([]float32, 7)
			if err := r.Viewer([]uint32{0, 4}, 0.2, got); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
	group.Wait()
}

func TestManyViewsAreBounded(t *testing.T) {
	r := ranker(t)
	old := append(slices.Repeat([]uint32{0}, maxViews), slices.Repeat([]uint32{4}, maxViews)...)
	got, want := make([]float32, 7), make([]float32, 7)
	if err := r.Viewer(old, 0, got); err != nil {
		t.Fatal(err)
	}
	if err := r.Viewer(old[maxViews:], 0, want); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("old views count: %v, want %v", got, want)
	}
}
