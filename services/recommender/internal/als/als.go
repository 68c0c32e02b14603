// Package als learns factors of viewers and items from views, by alternating
// least squares on implicit feedback.
//
// The loss is that of Rendle et al., "Revisiting the performance of iALS on
// item recommendation benchmarks" (2021):
//
//	sum over views (1 - x.y)^2 + alpha * sum over all pairs (x.y)^2 + lambda * sum over rows w|x|^2
//
// where w, the weight of a row, is (its views + alpha * number of opposite
// rows)^exponent. Each half sweep improves all rows of one side with a few
// steps of conjugate gradients from their present values, 64 rows at a time:
// the dense part of 64 rows is one matrix product.
//
//	als.go     Config, Train: sweeps and workers
//	solver.go  conjugate gradients for a block of rows
//	fold.go    Folder: factors of one viewer from their views
//
// Results depend on the views and the Config alone, not on the number of
// workers. The package knows no ids, and neither chooses hyperparameters
// nor measures quality.
package als

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

// ErrDiverged tells that factors became infinite or not a number.
var ErrDiverged = errors.New("factors diverged")

// Config holds the hyperparameters; zero fields mean the default.
type Config struct {
	Factors  int     // numbers per row; default 64, at most 4096
	Sweeps   int     // times over both sides; default 12
	Steps    int     // conjugate gradient steps per half sweep; default 3
	Alpha    float32 // weight of a pair without a view; default 0.1
	Lambda   float32 // strength of regularisation; default 0.01
	Exponent float32 // how regularisation grows with a row's views; default 1
	Seed     uint64
	Workers  int                   // default GOMAXPROCS
	Progress func(done, total int) // called after each half sweep, from Train's goroutine
}

// WithDefaults returns c with the defaults in place of zero fields.
func (c Config) WithDefaults() Config {
	set(&c.Factors, 64)
	set(&c.Sweeps, 12)
	set(&c.Steps, 3)
	set(&c.Alpha, 0.1)
	set(&c.Lambda, 0.01)
	set(&c.Exponent, 1)
	set(&c.Workers, runtime.GOMAXPROCS(0))
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports all fields that are out of range.
func (c Config) Validate() error {
	check := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf(format, args...)
	}
	return errors.Join(
		check(c.Factors >= 1 && c.Factors <= 4096, "factors: %d is not in 1 to 4096", c.Factors),
		check(c.Sweeps >= 1, "sweeps: %d is below 1", c.Sweeps),
		check(c.Steps >= 1, "steps: %d is below 1", c.Steps),
		check(c.Alpha > 0 && c.Alpha <= 1, "alpha: %g is not in (0, 1]", c.Alpha),
		check(c.Lambda > 0, "lambda: %g is not positive", c.Lambda),
		check(c.Exponent > 0 && c.Exponent <= 2, "exponent: %g is not in (0, 2]", c.Exponent),
		check(c.Workers >= 1, "workers: %d is below 1", c.Workers),
	)
}

// Factors is a trained model. Viewers is rows*d, Items is cols*d.
type Factors struct {
	Viewers, Items *blas.Matrix
}

// Close frees the factors.
func (f *Factors) Close() {
	f.Viewers.Close()
	f.Items.Close()
}

// Train learns from views, one row per viewer. It returns ctx's error soon
// after ctx ends, and ErrDiverged rather than useless factors.
func Train(ctx context.Context, views *sparse.Matrix, config Config) (*Factors, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	viewers, err := blas.New(views.Rows, config.Factors)
	if err != nil {
		return nil, err
	}
	items, err := blas.New(views.Cols, config.Factors)
	if err != nil {
		viewers.Close()
		return nil, err
	}
	factors := &Factors{Viewers: viewers, Items: items}
	initialise(viewers, config.Seed, 1)
	initialise(items, config.Seed, 2)
	if err := sweep(ctx, views, factors, config); err != nil {
		factors.Close()
		return nil, err
	}
	return factors, nil
}

// initialise draws from a normal distribution such that a product of two
// rows has a standard deviation of about 0.01.
func initialise(m *blas.Matrix, seed, side uint64) {
	random := rand.New(rand.NewPCG(seed, side))
	deviation := 0.1 / math.Sqrt(math.Sqrt(float64(m.Cols())))
	for i, data := 0, m.Data(); i < len(data); i++ {
		data[i] = float32(random.NormFloat64() * deviation)
	}
}

func sweep(ctx context.Context, views *sparse.Matrix, factors *Factors, config Config) error {
	byItem := views.Transpose()
	for done := range 2 * config.Sweeps {
		var err error
		if done%2 == 0 {
			err = improve(ctx, views, factors.Viewers, factors.Items, config)
		} else {
			err = improve(ctx, byItem, factors.Items, factors.Viewers, config)
		}
		if err != nil {
			return err
		}
		if config.Progress != nil {
			config.Progress(done+1, 2*config.Sweeps)
		}
	}
	if !finite(factors.Items) || !finite(factors.Viewers) {
		return ErrDiverged
	}
	return nil
}

// improve steps all rows of mine towards the minimum for the fixed rows of
// other. views has a row per row of mine and a column per row of other.
func improve(ctx context.Context, views *sparse.Matrix, mine, other *blas.Matrix, config Config) error {
	gram, err := blas.New(config.Factors, config.Factors)
	if err != nil {
		return err
	}
	defer gram.Close()
	blas.Gemm(true, false, config.Alpha, other, other, 0, gram)

	blocks := (mine.Rows() + blockRows - 1) / blockRows
	var next atomic.Int64
	work := func() error {
		s, err := newSolver(other, gram, config, blockRows)
		if err != nil {
			return err
		}
		defer s.close()
		for b := int(next.Add(1)) - 1; b < blocks; b = int(next.Add(1)) - 1 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			from, to := b*blockRows, min((b+1)*blockRows, mine.Rows())
			s.solve(mine.View(from, to), func(r int) []uint32 { return views.Row(from + r) }, config.Steps)
		}
		return nil
	}
	errs := make([]error, max(1, min(config.Workers, blocks)))
	var group sync.WaitGroup
	for w := range errs {
		group.Go(func() { errs[w] = work() })
	}
	group.Wait()
	return errors.Join(errs...)
}

func finite(m *blas.Matrix) bool {
	for _, v := range m.Data() {
		if v-v != 0 {
			return false
		}
	}
	return true
}
