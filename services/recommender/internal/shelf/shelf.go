// Package shelf answers for one tenant from memory: what a viewer may like,
// and what is similar to a video.
//
// A Shelf joins a model, which is some minutes old, with the catalogue of
// now: withdrawn videos are filtered inside the selection, and videos newer
// than the model take part with the taste of an average video. It is
// immutable; many goroutines may use it. It does no I/O.
package shelf

import (
	"errors"
	"math"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/rank"
	"github.com/backlot-video/backlot/services/recommender/internal/topk"
)

// ErrUnknownVideo tells that neither the catalogue nor the model has a video.
var ErrUnknownVideo = errors.New("unknown video")

// The strategies by which candidates are found.
const (
	FoldIn  = "fold_in" // from the viewer's own views by the model
	Popular = "popular" // by the number of viewers
)

// Video is one of the catalogue.
type Video struct {
	ID        string
	Available bool
	Viewers   int64 // who watched it at least once
}

// Candidate is a video with its score; scores compare within one answer.
type Candidate struct {
	VideoID string
	Score   float32
}

// Answer holds candidates, best first. ModelVersion is empty where no model
// took part.
type Answer struct {
	Candidates   []Candidate
	ModelVersion string
	Strategy     string
}

// Query asks for candidates.
type Query struct {
	History        []string // videos that the viewer watched, latest first
	Exclude        []string // left out besides those
	IncludeWatched bool
	Limit          int
	Popularity     *float32 // weight of popularity, 0 to 1; nil means the model's
}

// Shelf holds n videos of the model, then those of the catalogue that the
// model does not know.
type Shelf struct {
	model    *model.Model // nil without one
	ranker   *rank.Ranker // nil without one
	learned  int          // n
	ids      []string
	position map[string]uint32
	hidden   *topk.Bitmap // not available
	popular  []float32    // logarithm of the viewers there are now
	newer    []float32    // popularity on the ranker's scale, of ids[n:]
	viewers  int64
}

// New returns the shelf of a catalogue and of a model with its ranker, which
// may both be nil. They must outlive it.
func New(m *model.Model, ranker *rank.Ranker, catalogue []Video) *Shelf {
	s := &Shelf{model: m, ranker: ranker, position: make(map[string]uint32, len(catalogue))}
	if m != nil {
		s.learned = len(m.Videos)
		s.ids = append(s.ids, m.Videos...)
		for i, id := range m.Videos {
			s.position[id] = uint32(i)
		}
	}
	s.hidden = topk.NewBitmap(s.learned)
	for i := range s.learned {
		s.hidden.Add(uint32(i)) // until the catalogue has it
	}
	s.popular = make([]float32, s.learned)
	for i := len(catalogue) - 1; i >= 0; i-- { // ids rise with time: of equals, the newest first
		s.put(catalogue[i])
	}
	return s
}

func (s *Shelf) put(video Video) {
	s.viewers += video.Viewers
	if !video.Available {
		return
	}
	appeal := float32(math.Log1p(float64(video.Viewers)))
	if i, learned := s.position[video.ID]; learned {
		s.popular[i] = appeal
		s.hidden.Remove(i)
		return
	}
	s.position[video.ID] = uint32(len(s.ids))
	s.ids = append(s.ids, video.ID)
	s.popular = append(s.popular, appeal)
	var prior float32
	if s.ranker != nil {
		prior = s.ranker.Prior(video.Viewers)
	}
	s.newer = append(s.newer, prior)
}

// Model returns the model, nil without one.
func (s *Shelf) Model() *model.Model { return s.model }

// Views returns the number of viewer and video pairs behind the catalogue.
func (s *Shelf) Views() int64 { return s.viewers }

// Recommend returns min(limit, videos that are not left out) candidates.
func (s *Shelf) Recommend(q Query) (Answer, error) {
	left := s.hidden.Clone()
	history := make([]uint32, 0, len(q.History))
	for i := len(q.History) - 1; i >= 0; i-- { // oldest first
		at, known := s.position[q.History[i]]
		if known && int(at) < s.learned {
			history = append(history, at)
		}
		if known && !q.IncludeWatched {
			left.Add(at)
		}
	}
	for _, id := range q.Exclude {
		if at, known := s.position[id]; known {
			left.Add(at)
		}
	}
	popularity := float32(1)
	if s.model != nil {
		popularity = s.model.Popularity
		if q.Popularity != nil {
			popularity = *q.Popularity
		}
	}
	if popularity >= 1 || len(history) == 0 {
		return Answer{Candidates: s.best(s.popular, q.Limit, left), Strategy: Popular}, nil
	}
	scores := make([]float32, len(s.ids))
	if err := s.ranker.Viewer(history, popularity, scores[:s.learned]); err != nil {
		return Answer{}, err
	}
	for i, prior := range s.newer {
		scores[s.learned+i] = popularity * prior
	}
	return Answer{Candidates: s.best(scores, q.Limit, left), ModelVersion: s.model.Version, Strategy: FoldIn}, nil
}

// Similar returns the videos nearest to one. To a video that is newer than
// the model that is what is popular.
func (s *Shelf) Similar(id string, limit int) (Answer, error) {
	at, known := s.position[id]
	if !known {
		return Answer{}, ErrUnknownVideo
	}
	left := s.hidden.Clone()
	left.Add(at)
	if int(at) >= s.learned {
		return Answer{Candidates: s.best(s.popular, limit, left), Strategy: Popular}, nil
	}
	scores := make([]float32, len(s.ids))
	s.ranker.Similar(at, scores[:s.learned])
	return Answer{Candidates: s.best(scores, limit, left), ModelVersion: s.model.Version, Strategy: FoldIn}, nil
}

func (s *Shelf) best(scores []float32, limit int, left *topk.Bitmap) []Candidate {
	found := topk.Select(scores, limit, left, nil)
	candidates := make([]Candidate, len(found))
	for i, item := range found {
		candidates[i] = Candidate{VideoID: s.ids[item.Index], Score: item.Score}
	}
	return candidates
}
