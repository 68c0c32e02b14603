package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

// town generates viewers with tastes. A video's appeal within its taste is
// 1/place^skew, its place drawn by the seed.
type town struct {
	viewers, tastes, each int     // each: videos of a taste
	least, most           int     // views of a viewer, evenly drawn
	second                float64 // share of viewers with a second taste
	main                  float64 // share of views in the first of two tastes
	stray                 float64 // share of views in any taste at all
	skew                  float64
}

func (w town) videos() []string {
	ids := make([]string, w.tastes*w.each)
	for i := range ids {
		ids[i] = fmt.Sprintf("video-%02d-%02d", i/w.each, i%w.each)
	}
	return ids
}

// views draws with replacement: watching a video twice is one view.
func (w town) views(t testing.TB, seed uint64) *sparse.Matrix {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 77))
	n := w.tastes * w.each
	appeal := make([]float64, 0, n)
	for range w.tastes {
		for _, place := range random.Perm(w.each) {
			appeal = append(appeal, 1/math.Pow(float64(place+1), w.skew))
		}
	}
	var pairs []sparse.Pair
	for viewer := range w.viewers {
		first, second := random.IntN(w.tastes), random.IntN(w.tastes)
		if random.Float64() >= w.second {
			second = first
		}
		for range w.least + random.IntN(w.most-w.least+1) {
			taste := first
			if random.Float64() >= w.main {
				taste = second
			}
			from, to := taste*w.each, (taste+1)*w.each
			if random.Float64() < w.stray {
				from, to = 0, n
			}
			pairs = append(pairs, sparse.Pair{Row: uint32(viewer), Col: uint32(from + draw(random, appeal[from:to]))})
		}
	}
	m, err := sparse.New(w.viewers, n, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func draw(random *rand.Rand, weights []float64) int {
	var sum float64
	for _, x := range weights {
		sum += x
	}
	at := random.Float64() * sum
	for i, x := range weights {
		if at -= x; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

var towns = map[string]town{
	"demo":       {viewers: 300, tastes: 6, each: 10, least: 6, most: 12, second: 0.5, main: 0.7, stray: 0.1, skew: 0.6},
	"few views":  {viewers: 300, tastes: 6, each: 10, least: 3, most: 6, second: 0.5, main: 0.7, stray: 0.1, skew: 0.6},
	"many views": {viewers: 300, tastes: 6, each: 10, least: 10, most: 25, second: 0.5, main: 0.7, stray: 0.15, skew: 0.6},
	"few people": {viewers: 120, tastes: 6, each: 10, least: 6, most: 12, second: 0.5, main: 0.7, stray: 0.1, skew: 0.6},
	"more clips": {viewers: 400, tastes: 6, each: 20, least: 6, most: 16, second: 0.5, main: 0.7, stray: 0.1, skew: 0.8},
}

// eachTown trains on one seed of each town, and more of the demo's.
func eachTown(t *testing.T, shuffle bool, demoSeeds uint64, check func(t *testing.T, seed uint64, q model.Quality)) {
	for name, w := range towns {
		seeds := uint64(1)
		if name == "demo" {
			seeds = demoSeeds
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				m, err := Train(t.Context(), w.views(t, seed), w.videos(), Options{Seed: seed, Shuffle: shuffle})
				if err != nil {
					t.Fatal(err)
				}
				m.Close()
				q := m.Quality
				t.Logf("seed %d: recall %.3f against %.3f, popularity's weight %g, lambda %g", seed, q.Recall, q.PopularityRecall, m.Popularity, m.Config.Lambda)
				check(t, seed, q)
			}
		})
	}
}

// TestTasteBeatsPopularity holds for each seed, not only on average. The
// product promises 1.5 times.
func TestTasteBeatsPopularity(t *testing.T) {
	eachTown(t, false, 20, func(t *testing.T, seed uint64, q model.Quality) {
		if q.Recall < 1.75*q.PopularityRecall || q.NDCG < 1.75*q.PopularityNDCG {
			t.Errorf("seed %d: recall %.3f against popularity's %.3f", seed, q.Recall, q.PopularityRecall)
		}
	})
}

// TestShuffledViewsTeachNothing is the control of the test above.
func TestShuffledViewsTeachNothing(t *testing.T) {
	eachTown(t, true, 5, func(t *testing.T, seed uint64, q model.Quality) {
		if q.Recall < 0.8*q.PopularityRecall || q.Recall > 1.2*q.PopularityRecall || q.PopularityRecall < 0.1 {
			t.Errorf("seed %d: recall %.3f against popularity's %.3f", seed, q.Recall, q.PopularityRecall)
		}
	})
}
