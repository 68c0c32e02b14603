package als

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

// twoTastes has viewers of even items and viewers of odd items; row 1 and
// the last two items have no views.
func twoTastes(t *testing.T, viewers, items int) *sparse.Matrix {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var pairs []sparse.Pair
	for v := range viewers {
		for i := range items - 2 {
			if v != 1 && i%2 == v%2 && random.IntN(3) > 0 {
				pairs = append(pairs, sparse.Pair{Row: uint32(v), Col: uint32(i)})
			}
		}
	}
	m, err := sparse.New(viewers, items, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func train(t *testing.T, views *sparse.Matrix, config Config) *Factors {
	t.Helper()
	f, err := Train(t.Context(), views, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// loss is the definition in the package comment, pair by pair.
func loss(views *sparse.Matrix, f *Factors, c Config) float64 {
	var sum float64
	for v := range views.Rows {
		for i := range views.Cols {
			p := float64(dot(f.Viewers.Row(v), f.Items.Row(i)))
			sum += float64(c.Alpha) * p * p
			if slices.Contains(views.Row(v), uint32(i)) {
				sum += (1 - p) * (1 - p)
			}
		}
	}
	weight := func(m *blas.Matrix, r, views, opposite int) float64 {
		w := math.Pow(float64(views)+float64(c.Alpha)*float64(opposite), float64(c.Exponent))
		return float64(c.Lambda) * w * float64(dot(m.Row(r), m.Row(r)))
	}
	counts := views.ColumnCounts()
	for v := range views.Rows {
		sum += weight(f.Viewers, v, len(views.Row(v)), views.Cols)
	}
	for i := range views.Cols {
		sum += weight(f.Items, i, counts[i], views.Rows)
	}
	return sum
}

func TestEachSweepLowersTheLoss(t *testing.T) {
	views := twoTastes(t, 90, 30)
	config := Config{Factors: 8, Seed: 3}.WithDefaults()
	last := math.Inf(1)
	for sweeps := 1; sweeps <= 6; sweeps++ {
		config.Sweeps = sweeps
		now := loss(views, train(t, views, config), config)
		if now > last {
			t.Errorf("the loss rose from %g to %g at sweep %d", last, now, sweeps)
		}
		last = now
	}
}

func TestTrainSeparatesTastes(t *testing.T) {
	views := twoTastes(t, 90, 30)
	f := train(t, views, Config{Factors: 2, Seed: 3})
	for v := range views.Rows {
		for i := range 28 {
			score := dot(f.Viewers.Row(v), f.Items.Row(i))
			if v != 1 && (score > 0.4) != (i%2 == v%2) {
				t.Fatalf("viewer %d gives item %d a score of %g", v, i, score)
			}
		}
	}
}

// TestGradientIsZeroAtTheSolution checks the solver against the loss's own
// derivative, not against another solver.
func TestGradientIsZeroAtTheSolution(t *testing.T) {
	views := twoTastes(t, 70, 400) // more views than are gathered at once
	config := Config{Factors: 5, Sweeps: 1, Steps: 50, Alpha: 0.3, Lambda: 0.02, Exponent: 0.5, Seed: 4}
	f := train(t, views, config)
	if err := improve(t.Context(), views, f.Viewers, f.Items, config.WithDefaults()); err != nil {
		t.Fatal(err)
	}
	const h = 1e-2
	at := func(v, d int, delta float32) float64 {
		x := &f.Viewers.Row(v)[d]
		was := *x
		*x += delta
		defer func() { *x = was }()
		return loss(views, f, config)
	}
	for _, v := range []int{0, 1, 63, 64, 69} {
		for d := range 5 {
			slope := (at(v, d, h) - at(v, d, -h)) / (2 * h)
			if math.Abs(slope) > 1e-2 {
				t.Errorf("the loss's slope at viewer %d, factor %d is %g", v, d, slope)
			}
		}
	}
}

func TestWorkersDoNotChangeTheResult(t *testing.T) {
	views := twoTastes(t, 300, 150)
	one := train(t, views, Config{Factors: 8, Sweeps: 3, Workers: 1})
	four := train(t, views, Config{Factors: 8, Sweeps: 3, Workers: 4})
	if !slices.Equal(one.Items.Data(), four.Items.Data()) || !slices.Equal(one.Viewers.Data(), four.Viewers.Data()) {
		t.Error("factors differ")
	}
	if other := train(t, views, Config{Factors: 8, Sweeps: 3, Seed: 1}); slices.Equal(one.Items.Data(), other.Items.Data()) {
		t.Error("another seed gave the same factors")
	}
}

func TestTrainStopsWhenCancelled(t *testing.T) {
	before := blas.LiveBytes()
	ctx, cancel := context.WithCancel(t.Context())
	var last int
	_, err := Train(ctx, twoTastes(t, 90, 30), Config{Factors: 8, Progress: func(done, total int) {
		if last = done; done == 3 {
			cancel()
		}
		if total != 24 {
			t.Errorf("total is %d", total)
		}
	}})
	if !errors.Is(err, context.Canceled) || last != 3 {
		t.Errorf("stopped after %d half sweeps with %v", last, err)
	}
	if got := blas.LiveBytes(); got != before {
		t.Errorf("%d bytes leaked", got-before)
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	err := Config{Factors: -1, Sweeps: -1, Steps: -1, Alpha: 2, Lambda: -1, Exponent: 3, Workers: -1}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 7 {
		t.Errorf("got %v", err)
	}
	if _, err := Train(t.Context(), twoTastes(t, 3, 3), Config{Alpha: 2}); err == nil {
		t.Error("Train accepted alpha 2")
	}
}

func TestEmptyViewsGiveNoScores(t *testing.T) {
	views, err := sparse.New(3, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := train(t, views, Config{Factors: 4})
	if score := dot(f.Viewers.Row(0), f.Items.Row(0)); math.Abs(float64(score)) > 1e-3 {
		t.Errorf("a score of %g from no views", score)
	}
	none, err := sparse.New(0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	train(t, none, Config{Factors: 4})
}

func TestFoldEqualsTheTrainedViewer(t *testing.T) {
	views := twoTastes(t, 90, 30)
	config := Config{Factors: 8, Seed: 3, Steps: 30}
	f := train(t, views, config)
	if err := improve(t.Context(), views, f.Viewers, f.Items, config.WithDefaults()); err != nil {
		t.Fatal(err)
	}
	folder, err := NewFolder(f.Items, config)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	x := make([]float32, 8)
	for v := range views.Rows {
		if err := folder.Fold(views.Row(v), x); err != nil {
			t.Fatal(err)
		}
		for d, want := range f.Viewers.Row(v) {
			if math.Abs(float64(x[d]-want)) > 1e-3 {
				t.Fatalf("viewer %d is %v, want %v", v, x, f.Viewers.Row(v))
			}
		}
	}
}

func TestFolderFreesItsMemory(t *testing.T) {
	f := train(t, twoTastes(t, 90, 30), Config{Factors: 8})
	before := blas.LiveBytes()
	folder, err := NewFolder(f.Items, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Fold([]uint32{2, 4}, make([]float32, 8)); err != nil {
		t.Fatal(err)
	}
	folder.Close()
	if got := blas.LiveBytes(); got != before {
		t.Errorf("%d bytes leaked", got-before)
	}
}
