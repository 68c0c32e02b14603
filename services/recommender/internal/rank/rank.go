// Package rank scores videos for a viewer with a trained model.
//
// The same code scores when a model is measured and when it serves, so that
// the figures are those of what viewers get. It does no I/O and knows no
// viewers: their views are handed in.
package rank

import (
	"math"
	"sync"

	"github.com/backlot-video/backlot/services/recommender/internal/als"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

// maxViews bounds the work for one viewer: of more views the last count.
const maxViews = 1000

// Ranker is immutable but for its buffers; many goroutines may use it.
type Ranker struct {
	items   *blas.Matrix // n*d
	folder  *als.Folder
	prior   []float32 // standardised popularity, n
	mean    float64   // of the logarithms behind prior
	scale   float64   // one over their deviation
	lengths []float32 // of the rows of items, n
	vectors sync.Pool // *[]float32 of d
}

// New returns a ranker over items, n*d, which counts viewers watched. items
// stays the caller's and must outlive the ranker.
func New(items *blas.Matrix, counts []uint32, config als.Config) (*Ranker, error) {
	folder, err := als.NewFolder(items, config)
	if err != nil {
		return nil, err
	}
	r := &Ranker{
		items: items, folder: folder,
		prior: make([]float32, items.Rows()), lengths: make([]float32, items.Rows()),
	}
	r.vectors.New = func() any { return new(make([]float32, items.Cols())) }
	for i, n := range counts {
		r.prior[i] = float32(math.Log1p(float64(n)))
		var sum float64
		for _, x := range items.Row(i) {
			sum += float64(x) * float64(x)
		}
		r.lengths[i] = float32(math.Sqrt(sum))
	}
	items.KeepAlive()
	r.mean, r.scale = standardise(r.prior)
	return r, nil
}

// Prior is the score, on Viewer's scale, that popularity gives a video that
// viewers have watched.
func (r *Ranker) Prior(viewers int64) float32 {
	return float32((math.Log1p(float64(viewers)) - r.mean) * r.scale)
}

// Close frees the ranker's own memory; none of its methods may be running.
func (r *Ranker) Close() { r.folder.Close() }

// Viewer writes to scores, n long, how well each video suits a viewer of
// these, oldest first: taste and popularity, both standardised over the
// videos, weighted by popularity, 0 to 1. Without views it is popularity.
func (r *Ranker) Viewer(viewed []uint32, popularity float32, scores []float32) error {
	if len(viewed) == 0 || popularity >= 1 {
		copy(scores, r.prior)
		return nil
	}
	x := r.vectors.Get().(*[]float32)
	defer r.vectors.Put(x)
	if err := r.folder.Fold(viewed[max(0, len(viewed)-maxViews):], *x); err != nil {
		return err
	}
	blas.Gemv(false, 1, r.items, *x, 0, scores)
	standardise(scores)
	for i, prior := range r.prior {
		scores[i] = (1-popularity)*scores[i] + popularity*prior
	}
	return nil
}

// Similar writes to scores, n long, the cosine of each video with video i.
// Videos without any view score 0.
func (r *Ranker) Similar(i uint32, scores []float32) {
	blas.Gemv(false, 1, r.items, r.items.Row(int(i)), 0, scores)
	length := r.lengths[i]
	for j := range scores {
		if product := length * r.lengths[j]; product > 0 {
			scores[j] /= product
		} else {
			scores[j] = 0
		}
	}
}

// standardise shifts and scales x to mean 0 and deviation 1, and returns
// the mean there was and the factor; equal values become 0.
func standardise(x []float32) (mean, scale float64) {
	if len(x) == 0 {
		return 0, 0
	}
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
	}
	mean = sum / float64(len(x))
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	if deviation := math.Sqrt(squares / float64(len(x))); deviation > 1e-9 {
		scale = 1 / deviation
	}
	for i := range x {
		x[i] = float32((float64(x[i]) - mean) * scale)
	}
	return mean, scale
}
