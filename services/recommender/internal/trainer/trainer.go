// Package trainer makes a model of views. It chooses hyperparameters by held
// out views of half of the viewers, measures the choice by those of the
// other half, and then learns from all views.
//
// A catalogue of sixty videos and one of a million both get a model that is
// not worse than popularity: where taste does not help on held-out views,
// for there are too few or they follow none, the model is popularity.
package trainer

import (
	"context"
	"fmt"
	"math"

	"github.com/backlot-video/backlot/services/recommender/internal/als"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/eval"
	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/rank"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

const (
	cutoff   = 10  // of the metrics
	heldOut  = 0.2 // of each viewer's views
	margin   = 1.1 // worth over popularity's that taste must reach to count
	minViews = 50  // below, nothing can be measured or learned but popularity
	// searchViews is the number of views up to which strong regularisation
	// is tried too: above, the default is right, and costly enough.
	searchViews = 500_000
	// measured bounds the viewers that a measurement takes.
	measured = 5_000
)

// blends are the weights of popularity that are tried.
var blends = []float32{0, 0.1, 0.2, 0.35, 0.5}

// Options tell a training what to do; the zero value is useful.
type Options struct {
	Seed     uint64
	Shuffle  bool // deal the views out anew: a control that must not beat popularity
	Progress func(done, total int)
}

// Train returns a model of views, whose columns are the videos. It fills in
// all fields but Version, Tenant, TrainedAt and TrainingTime.
func Train(ctx context.Context, views *sparse.Matrix, videos []string, options Options) (*model.Model, error) {
	if views.Cols != len(videos) {
		return nil, fmt.Errorf("train: %d columns for %d videos", views.Cols, len(videos))
	}
	if options.Shuffle {
		views = views.Shuffle(options.Seed)
	}
	plan := choices(views, options.Seed)
	t := &training{options: options, total: len(plan) + 1}
	best := choice{config: plan[0], popularity: 1}
	var quality model.Quality
	if views.Len() >= minViews {
		var err error
		if best, quality, err = t.choose(ctx, views, plan); err != nil {
			return nil, err
		}
	}
	t.run = t.total - 1
	factors, err := t.learn(ctx, views, best.config)
	if err != nil {
		return nil, err
	}
	factors.Viewers.Close()
	best.config.Workers = 0
	m := &model.Model{
		Backend: blas.Backend(), Viewers: uint64(active(views)), Views: uint64(views.Len()),
		Config: best.config, Popularity: best.popularity, Quality: quality,
		Videos: videos, Items: factors.Items, Counts: counts(views),
	}
	return m, nil
}

// choices returns the configurations to try, the default first. Small
// catalogues need few factors and much regularisation.
func choices(views *sparse.Matrix, seed uint64) []als.Config {
	factors := 8
	for factors < 64 && factors*factors*16 < views.Len() {
		factors *= 2
	}
	config := als.Config{Factors: factors, Seed: seed}.WithDefaults()
	configs := []als.Config{config}
	if views.Len() <= searchViews {
		config.Lambda = 0.1
		configs = append(configs, config)
	}
	return configs
}

type choice struct {
	config     als.Config
	popularity float32
}

type training struct {
	options    Options
	run, total int // trainings done and in all
}

func (t *training) learn(ctx context.Context, views *sparse.Matrix, config als.Config) (*als.Factors, error) {
	if t.options.Progress != nil {
		config.Progress = func(done, total int) { t.options.Progress(t.run*total+done, t.total*total) }
	}
	return als.Train(ctx, views, config)
}

// choose returns the best of plan and of blends by one half of the viewers,
// and its quality by the other half.
func (t *training) choose(ctx context.Context, views *sparse.Matrix, plan []als.Config) (choice, model.Quality, error) {
	train, held := eval.HoldOut(views, heldOut, t.options.Seed)
	popular := eval.Popularity(train)
	measure := func(half int, score func(viewer int) []float32) eval.Metrics {
		stride := max(1, views.Rows/measured)
		include := func(viewer int) bool { return viewer%2 == half && viewer/2%stride == 0 }
		return eval.Measure(train, held, cutoff, include, score)
	}
	byPopularity := func(int) []float32 { return popular }
	best := choice{config: plan[0], popularity: 1}
	bar := worth(measure(0, byPopularity)) * margin
	final := measure(1, byPopularity)
	quality := model.Quality{
		Recall: final.Recall, NDCG: final.NDCG,
		PopularityRecall: final.Recall, PopularityNDCG: final.NDCG, Viewers: uint64(final.Viewers),
	}
	for i, config := range plan {
		t.run = i
		err := t.try(ctx, train, config, func(popularity float32, score func(viewer int) []float32) {
			if found := worth(measure(0, score)); found > bar {
				bar, best = found, choice{config, popularity}
				final := measure(1, score)
				quality.Recall, quality.NDCG = final.Recall, final.NDCG
			}
		})
		if err != nil {
			return choice{}, model.Quality{}, err
		}
	}
	return best, quality, ctx.Err()
}

// worth is what a choice is chosen by: finding the videos, and early.
func worth(m eval.Metrics) float64 { return m.Recall + m.NDCG }

// try trains once and calls use for each blend.
func (t *training) try(ctx context.Context, train *sparse.Matrix, config als.Config, use func(popularity float32, score func(viewer int) []float32)) error {
	factors, err := t.learn(ctx, train, config)
	if err != nil {
		return err
	}
	defer factors.Close()
	ranker, err := rank.New(factors.Items, counts(train), config)
	if err != nil {
		return err
	}
	defer ranker.Close()
	scores := make([]float32, train.Cols)
	for _, popularity := range blends {
		use(popularity, func(viewer int) []float32 {
			if err == nil {
				err = ranker.Viewer(train.Row(viewer), popularity, scores)
			}
			return scores
		})
	}
	return err
}

// active returns the number of viewers with views.
func active(views *sparse.Matrix) int {
	n := 0
	for v := range views.Rows {
		if len(views.Row(v)) > 0 {
			n++
		}
	}
	return n
}

func counts(views *sparse.Matrix) []uint32 {
	counts := make([]uint32, views.Cols)
	for i, n := range views.ColumnCounts() {
		counts[i] = uint32(min(n, math.MaxUint32))
	}
	return counts
}
