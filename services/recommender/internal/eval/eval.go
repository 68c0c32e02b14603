// Package eval measures rankings on views that were held out of training.
//
// A viewer's train items are never ranked; all other items are (no sampled
// candidates). It knows no model: callers hand in scores.
package eval

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
	"github.com/backlot-video/backlot/services/recommender/internal/topk"
)

// HoldOut splits each viewer's views: about fraction of them, at least one,
// are held out of train; of a viewer with a single view none. The same seed
// gives the same split.
func HoldOut(views *sparse.Matrix, fraction float64, seed uint64) (train, held *sparse.Matrix) {
	random := rand.New(rand.NewPCG(seed, 0x1d))
	var kept, out []sparse.Pair
	for viewer := range views.Rows {
		items := slices.Clone(views.Row(viewer))
		random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		n := 0
		if len(items) > 1 {
			n = min(len(items)-1, max(1, int(math.Round(fraction*float64(len(items))))))
		}
		for i, item := range items {
			pair := sparse.Pair{Row: uint32(viewer), Col: item}
			if i < n {
				out = append(out, pair)
			} else {
				kept = append(kept, pair)
			}
		}
	}
	return rebuild(views, kept), rebuild(views, out)
}

func rebuild(like *sparse.Matrix, pairs []sparse.Pair) *sparse.Matrix {
	m, err := sparse.New(like.Rows, like.Cols, pairs)
	if err != nil {
		panic(err) // the pairs came from a matrix of this size
	}
	return m
}

// Popularity returns the number of train views of each item: the ranking
// that every model has to beat.
func Popularity(train *sparse.Matrix) []float32 {
	scores := make([]float32, train.Cols)
	for i, n := range train.ColumnCounts() {
		scores[i] = float32(n)
	}
	return scores
}

// Metrics are means over the viewers that have held-out items.
type Metrics struct {
	Recall  float64 // held-out items among the first k, of all held-out items
	NDCG    float64 // discounted gain of the first k, of the best possible
	Viewers int     // viewers measured; 0 leaves the means 0
}

// Measure ranks the items that a viewer has no train view of, for each
// viewer with held-out items that include admits (nil admits all). score
// returns the score of every item for a viewer; the slice may be reused.
func Measure(train, held *sparse.Matrix, k int, include func(viewer int) bool, score func(viewer int) []float32) Metrics {
	var m Metrics
	found := make([]topk.Item, 0, k)
	for viewer := range held.Rows {
		wanted := held.Row(viewer)
		if len(wanted) == 0 || (include != nil && !include(viewer)) {
			continue
		}
		seen := topk.NewBitmap(train.Cols)
		for _, item := range train.Row(viewer) {
			seen.Add(item)
		}
		found = topk.Select(score(viewer), k, seen, found[:0])
		recall, ndcg := judge(found, wanted, k)
		m.Recall += recall
		m.NDCG += ndcg
		m.Viewers++
	}
	if m.Viewers > 0 {
		m.Recall /= float64(m.Viewers)
		m.NDCG /= float64(m.Viewers)
	}
	return m
}

// judge compares a ranking with the wanted items, which are ascending.
func judge(found []topk.Item, wanted []uint32, k int) (recall, ndcg float64) {
	var hits int
	var gain, best float64
	for place, item := range found {
		if _, ok := slices.BinarySearch(wanted, item.Index); ok {
			hits++
			gain += 1 / math.Log2(float64(place)+2)
		}
	}
	for place := range min(k, len(wanted)) {
		best += 1 / math.Log2(float64(place)+2)
	}
	return float64(hits) / float64(len(wanted)), gain / best
}
