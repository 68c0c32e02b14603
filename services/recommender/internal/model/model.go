// Package model holds what a training learned, and its files.
//
//	model.go  Model: factors of videos, their views, how it was measured
//	codec.go  the binary form: versioned, bounded, checksummed
//	store.go  Store: a folder of models, written atomically, the last few kept
//
// A model holds nothing of any single viewer: their factors are computed
// from their views when they ask. So forgetting a viewer needs no training.
package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/services/recommender/internal/als"
	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

// Limits of a model; beyond them it is neither written nor read.
const (
	MaxFactors = 4096
	MaxVideos  = 16 << 20
	maxString  = 255
)

// ErrInvalid tells that a model is not one, or was damaged.
var ErrInvalid = errors.New("invalid model")

// Model is immutable once made.
type Model struct {
	Version      string // UUIDv7
	Tenant       string
	TrainedAt    time.Time // to the microsecond
	TrainingTime time.Duration
	Backend      string // blas.Backend of the training

	Viewers, Views uint64 // it was trained on
	Config         als.Config
	// Popularity is the weight, 0 to 1, of popularity against taste.
	Popularity float32
	Quality    Quality

	Videos []string     // ids, n of them
	Counts []uint32     // viewers of each video, n
	Items  *blas.Matrix // factors of each video, n*d
}

// Quality is measured on views that were held out, with Config and
// Popularity as they are, before the final training on all views.
type Quality struct {
	Recall, NDCG                     float64 // at 10
	PopularityRecall, PopularityNDCG float64 // of the most viewed videos
	Viewers                          uint64  // measured; 0 means not measured
}

// Close frees the factors. The garbage collector does it too, after the last
// use, when Close cannot know of it.
func (m *Model) Close() { m.Items.Close() }

// Validate reports all faults of the model's shape and limits.
func (m *Model) Validate() error {
	check := func(ok bool, what string) error {
		if ok {
			return nil
		}
		return fmt.Errorf("%w: %s", ErrInvalid, what)
	}
	if m.Items == nil {
		return check(false, "no factors")
	}
	var configFault error
	if err := m.Config.WithDefaults().Validate(); err != nil {
		configFault = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	n := len(m.Videos)
	longest := max(len(m.Version), len(m.Tenant), len(m.Backend))
	for _, id := range m.Videos {
		longest = max(longest, len(id))
	}
	return errors.Join(
		check(m.Version != "", "no version"),
		check(longest <= maxString, "a text is too long"),
		check(n <= MaxVideos, "too many videos"),
		check(m.Items.Cols() >= 1 && m.Items.Cols() <= MaxFactors, "number of factors"),
		check(m.Items.Cols() == m.Config.Factors, "factors differ from the configuration"),
		check(m.Items.Rows() == n && len(m.Counts) == n, "lengths differ"),
		check(m.Popularity >= 0 && m.Popularity <= 1, "popularity is not in 0 to 1"),
		configFault,
	)
}
