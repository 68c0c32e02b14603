package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
)

func matrix(t *testing.T, rows, cols int, pairs ...sparse.Pair) *sparse.Matrix {
	t.Helper()
	m, err := sparse.New(rows, cols, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHoldOutSplitsEachViewer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var pairs []sparse.Pair
	for v := range 40 {
		for range v {
			pairs = append(pairs, sparse.Pair{Row: uint32(v), Col: uint32(random.IntN(60))})
		}
	}
	views := matrix(t, 40, 60, pairs...)
	train, held := HoldOut(views, 0.2, 9)
	for v := range 40 {
		all := slices.Concat(train.Row(v), held.Row(v))
		slices.Sort(all)
		if !slices.Equal(all, views.Row(v)) {
			t.Fatalf("viewer %d: %v and %v do not make up %v", v, train.Row(v), held.Row(v), views.Row(v))
		}
		want := 0
		if n := len(all); n > 1 {
			want = max(1, int(math.Round(0.2*float64(n))))
		}
		if len(held.Row(v)) != want {
			t.Errorf("viewer %d: %d of %d are held out, want %d", v, len(held.Row(v)), len(all), want)
		}
	}
	if _, again := HoldOut(views, 0.2, 9); !slices.Equal(again.Index, held.Index) {
		t.Error("the same seed gave another split")
	}
	if _, other := HoldOut(views, 0.2, 10); slices.Equal(other.Index, held.Index) {
		t.Error("another seed gave the same split")
	}
}

// TestMeasureByHand: of viewer 0, item 0 is masked, so the first two are 1
// and 3, of which 3 is wanted, at the second place.
func TestMeasureByHand(t *testing.T) {
	train := matrix(t, 3, 5, sparse.Pair{Row: 0, Col: 0}, sparse.Pair{Row: 1, Col: 4})
	held := matrix(t, 3, 5, sparse.Pair{Row: 0, Col: 2}, sparse.Pair{Row: 0, Col: 3}, sparse.Pair{Row: 1, Col: 0})
	scores := []float32{5, 4, 1, 3, 2}
	m := Measure(train, held, 2, nil, func(int) []float32 { return scores })
	second := 1 / math.Log2(3)
	wantRecall, wantNDCG := (0.5+1)/2, (second/(1+second)+1)/2
	if m.Viewers != 2 || math.Abs(m.Recall-wantRecall) > 1e-12 || math.Abs(m.NDCG-wantNDCG) > 1e-12 {
		t.Errorf("got %+v, want recall %g, ndcg %g", m, wantRecall, wantNDCG)
	}
	only := Measure(train, held, 2, func(v int) bool { return v == 1 }, func(int) []float32 { return scores })
	if only != (Metrics{Recall: 1, NDCG: 1, Viewers: 1}) {
		t.Errorf("viewer 1 alone: %+v", only)
	}
}

func TestMeasureNobody(t *testing.T) {
	empty := matrix(t, 2, 2)
	if m := Measure(empty, empty, 10, nil, func(int) []float32 { return make([]float32, 2) }); m != (Metrics{}) {
		t.Errorf("got %+v", m)
	}
}

func TestRandomScoresReachTheirExpectation(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var pairs []sparse.Pair
	for v := range 2000 {
		pairs = append(pairs, sparse.Pair{Row: uint32(v), Col: uint32(random.IntN(50))})
	}
	held := matrix(t, 2000, 50, pairs...)
	scores := make([]float32, 50)
	m := Measure(matrix(t, 2000, 50), held, 10, nil, func(int) []float32 {
		for i := range scores {
			scores[i] = random.Float32()
		}
		return scores
	})
	if math.Abs(m.Recall-0.2) > 0.03 {
		t.Errorf("recall of random scores is %g, want about 10/50", m.Recall)
	}
}

func TestPopularityCountsViewers(t *testing.T) {
	train := matrix(t, 2, 3, sparse.Pair{Row: 0, Col: 0}, sparse.Pair{Row: 1, Col: 0}, sparse.Pair{Row: 1, Col: 2})
	if got := Popularity(train); !slices.Equal(got, []float32{2, 0, 1}) {
		t.Errorf("got %v", got)
	}
}
