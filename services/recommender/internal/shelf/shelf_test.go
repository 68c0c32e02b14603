package shelf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/rank"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
	"github.com/backlot-video/backlot/services/recommender/internal/trainer"
)

// learned is a model of 80 viewers of videos a0 to a9 and 40 of b0 to b9.
func learned(t *testing.T) (*model.Model, *rank.Ranker) {
	t.Helper()
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("%c%d", 'a'+i/10, i%10))
	}
	var pairs []sparse.Pair
	random := rand.New(rand.NewPCG(1, 2))
	for v := range 120 {
		from := 0
		if v%3 == 2 {
			from = 10
		}
		for _, i := range random.Perm(10)[:6] {
			pairs = append(pairs, sparse.Pair{Row: uint32(v), Col: uint32(from + i)})
		}
	}
	views, err := sparse.New(120, 20, pairs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := trainer.Train(t.Context(), views, ids, trainer.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.Version = "v1"
	ranker, err := rank.New(m.Items, m.Counts, m.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ranker.Close)
	return m, ranker
}

func catalogue(m *model.Model, more ...Video) []Video {
	var all []Video
	for i, id := range m.Videos {
		all = append(all, Video{ID: id, Available: true, Viewers: int64(m.Counts[i])})
	}
	return append(all, more...)
}

func recommend(t *testing.T, s *Shelf, q Query) ([]string, Answer) {
	t.Helper()
	answer, err := s.Recommend(q)
	if err != nil {
		t.Fatal(err)
	}
	return ids(answer), answer
}

func ids(a Answer) []string {
	var all []string
	for _, c := range a.Candidates {
		all = append(all, c.VideoID)
	}
	return all
}

func taste(t *testing.T, got []string, letter byte) {
	t.Helper()
	for _, id := range got {
		if id[0] != letter {
			t.Errorf("%v are not all of taste %c", got, letter)
			return
		}
	}
}

func TestRecommendFollowsTaste(t *testing.T) {
	m, r := learned(t)
	s := New(m, r, catalogue(m))
	got, answer := recommend(t, s, Query{History: []string{"b1", "b2", "b3"}, Limit: 7})
	taste(t, got, 'b')
	if len(got) != 7 || answer.Strategy != FoldIn || answer.ModelVersion != "v1" {
		t.Errorf("got %v, %s of model %q", got, answer.Strategy, answer.ModelVersion)
	}
	got, _ = recommend(t, s, Query{History: []string{"a1", "a2"}, Limit: 8})
	taste(t, got, 'a')
}

func TestRecommendLeavesOut(t *testing.T) {
	m, r := learned(t)
	videos := catalogue(m)
	videos[15].Available = false // b5
	s := New(m, r, videos)
	got, _ := recommend(t, s, Query{History: []string{"b1", "b2", "unknown"}, Exclude: []string{"b3", "unknown"}, Limit: 500})
	if len(got) != 16 {
		t.Errorf("%d candidates, want all 16 that are not left out", len(got))
	}
	for _, id := range []string{"b1", "b2", "b3", "b5"} {
		if slices.Contains(got, id) {
			t.Errorf("%s was recommended", id)
		}
	}
	got, _ = recommend(t, s, Query{History: []string{"b1", "b2"}, IncludeWatched: true, Limit: 500})
	if len(got) != 19 || !slices.Contains(got, "b1") {
		t.Errorf("with watched ones: %v", got)
	}
}

func TestNewViewersGetWhatIsPopular(t *testing.T) {
	m, r := learned(t)
	videos := catalogue(m)
	videos[13].Viewers = 1000
	for name, s := range map[string]*Shelf{"with a model": New(m, r, videos), "without": New(nil, nil, videos)} {
		got, answer := recommend(t, s, Query{Limit: 3})
		if len(got) != 3 || got[0] != "b3" || answer.Strategy != Popular || answer.ModelVersion != "" {
			t.Errorf("%s: %v by %s", name, got, answer.Strategy)
		}
	}
	got, answer := recommend(t, New(nil, nil, videos), Query{History: []string{"b3"}, Limit: 30})
	if len(got) != 19 || slices.Contains(got, "b3") || answer.Strategy != Popular {
		t.Errorf("without a model, with views: %v by %s", got, answer.Strategy)
	}
}

func TestConfiguredPopularityWins(t *testing.T) {
	m, r := learned(t)
	videos := catalogue(m)
	s := New(m, r, videos)
	all := float32(1)
	_, answer := recommend(t, s, Query{History: []string{"b1"}, Limit: 3, Popularity: &all})
	if answer.Strategy != Popular {
		t.Errorf("strategy is %s", answer.Strategy)
	}
	none := float32(0)
	got, answer := recommend(t, s, Query{History: []string{"b1", "b4"}, Limit: 5, Popularity: &none})
	taste(t, got, 'b')
	if answer.Strategy != FoldIn {
		t.Errorf("strategy is %s", answer.Strategy)
	}
}

func TestNewVideosTakePart(t *testing.T) {
	m, r := learned(t)
	s := New(m, r, catalogue(m, Video{ID: "new", Available: true}, Video{ID: "draft"}))
	got, _ := recommend(t, s, Query{History: []string{"b1", "b2"}, Limit: 500})
	if !slices.Contains(got, "new") || slices.Contains(got, "draft") || len(got) != 19 {
		t.Errorf("got %v", got)
	}
	taste(t, got[:7], 'b')
	answer, err := s.Similar("new", 500)
	if err != nil || len(answer.Candidates) != 20 || answer.Strategy != Popular {
		t.Errorf("similar to a new video: %v, %v", answer, err)
	}
}

func TestSimilarIsOfTheSameTaste(t *testing.T) {
	m, r := learned(t)
	s := New(m, r, catalogue(m))
	answer, err := s.Similar("b4", 6)
	if err != nil {
		t.Fatal(err)
	}
	taste(t, ids(answer), 'b')
	if slices.Contains(ids(answer), "b4") || len(answer.Candidates) != 6 || answer.ModelVersion != "v1" {
		t.Errorf("got %v", answer)
	}
	if _, err := s.Similar("unknown", 6); !errors.Is(err, ErrUnknownVideo) {
		t.Errorf("unknown video: %v", err)
	}
}

func TestEmptyShelf(t *testing.T) {
	s := New(nil, nil, nil)
	if got, answer := recommend(t, s, Query{History: []string{"x"}, Limit: 10}); len(got) != 0 || answer.Strategy != Popular {
		t.Errorf("got %v", answer)
	}
	if s.Views() != 0 || s.Model() != nil {
		t.Error("not empty")
	}
}
