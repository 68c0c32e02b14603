package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
	"github.com/backlot-video/backlot/services/recommender/internal/sparse"
	"github.com/backlot-video/backlot/services/recommender/internal/trainer"
)

// library is a Library in memory: who watched what, and what is available.
type library struct {
	mu     sync.Mutex
	videos map[string]bool
	views  map[string][]string // by viewer, in order
	fault  error
}

func (l *library) Tenants(context.Context) ([]string, error) { return []string{"main"}, nil }

func (l *library) Catalogue(context.Context, string) ([]shelf.Video, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := map[string]int64{}
	for _, watched := range l.views {
		for _, id := range watched {
			count[id]++
		}
	}
	var all []shelf.Video
	for id, available := range l.videos {
		all = append(all, shelf.Video{ID: id, Available: available, Viewers: count[id]})
	}
	slices.SortFunc(all, func(a, b shelf.Video) int { return strings.Compare(a.ID, b.ID) })
	return all, l.fault
}

func (l *library) History(_ context.Context, _, viewer string, limit int) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	watched := slices.Clone(l.views[viewer])
	slices.Reverse(watched)
	return watched[:min(limit, len(watched))], l.fault
}

func (l *library) Views(context.Context, string, int) (*sparse.Matrix, []string, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return nil, nil, false, l.fault
	}
	var ids []string
	for id := range l.videos {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var pairs []sparse.Pair
	for v := range len(l.views) {
		for _, id := range l.views[fmt.Sprint("viewer", v)] {
			at, _ := slices.BinarySearch(ids, id)
			pairs = append(pairs, sparse.Pair{Row: uint32(v), Col: uint32(at)})
		}
	}
	m, err := sparse.New(len(l.views), len(ids), pairs)
	return m, ids, false, err
}

func (l *library) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// newLibrary has 150 viewers of one of three tastes, a, b or c, of 12 videos.
func newLibrary() *library {
	random := rand.New(rand.NewPCG(1, 2))
	l := &library{videos: map[string]bool{}, views: map[string][]string{}}
	for v := range 150 {
		for _, i := range random.Perm(12)[:5] {
			id := fmt.Sprintf("%c%02d", "abc"[v%3], i)
			l.videos[id] = true
			l.views[fmt.Sprint("viewer", v)] = append(l.views[fmt.Sprint("viewer", v)], id)
		}
	}
	return l
}

func start(t *testing.T, l *library, dir string) *Engine {
	t.Helper()
	e, err := New(Config{
		Library: l, Models: &model.Store{Dir: dir, Keep: 2, MaxBytes: 1 << 20},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Clock: time.Now, Registerer: prometheus.NewRegistry(),
		TrainDelay: 100 * time.Millisecond, TrainInterval: time.Hour, RefreshEvery: time.Hour,
		MaxViews: 1_000_000, MaxHistory: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e
}

func recommend(t *testing.T, e *Engine, viewer string) shelf.Answer {
	t.Helper()
	answer, err := e.Recommend(t.Context(), "main", viewer, shelf.Query{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-again.C:
		}
	}
}

func TestTrainSwapsInTheModel(t *testing.T) {
	e := start(t, newLibrary(), t.TempDir())
	if e.Model("main") != nil {
		t.Fatal("there is a model before the first training")
	}
	m, err := e.Train(t.Context(), "main", trainer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Quality.Recall < 1.5*m.Quality.PopularityRecall || e.Model("main").Version != m.Version {
		t.Errorf("recall %g against %g, model %s serves", m.Quality.Recall, m.Quality.PopularityRecall, e.Model("main").Version)
	}
	for v := range 9 {
		answer := recommend(t, e, fmt.Sprint("viewer", v))
		if answer.ModelVersion != m.Version || answer.Candidates[0].VideoID[0] != "abc"[v%3] {
			t.Errorf("viewer %d gets %v of model %q", v, answer.Candidates, answer.ModelVersion)
		}
	}
	similar, err := e.Similar("main", "b03", 4)
	if err != nil || similar.Candidates[0].VideoID[0] != 'b' {
		t.Errorf("similar to b03: %v, %v", similar, err)
	}
}

func TestShuffledTrainingDoesNotServe(t *testing.T) {
	e := start(t, newLibrary(), t.TempDir())
	before, err := e.Train(t.Context(), "main", trainer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Train(t.Context(), "main", trainer.Options{Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	if m.Quality.Recall > 1.3*m.Quality.PopularityRecall || e.Model("main").Version != before.Version {
		t.Errorf("recall %g against %g, model %s serves", m.Quality.Recall, m.Quality.PopularityRecall, e.Model("main").Version)
	}
}

func TestModelIsLoadedAtStart(t *testing.T) {
	l, dir := newLibrary(), t.TempDir()
	m, err := start(t, l, dir).Train(t.Context(), "main", trainer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again := start(t, l, dir)
	if got := again.Model("main"); got == nil || got.Version != m.Version {
		t.Fatalf("model is %v", got)
	}
	if answer := recommend(t, again, "viewer0"); answer.ModelVersion != m.Version {
		t.Errorf("got %v", answer)
	}
}

func TestNewViewsAreTrainedWithoutBeingAsked(t *testing.T) {
	e := start(t, newLibrary(), t.TempDir())
	eventually(t, "a first model", func() bool { return e.Model("main") != nil })
}

func TestChangesAreSeen(t *testing.T) {
	l := newLibrary()
	e := start(t, l, t.TempDir())
	if _, err := e.Train(t.Context(), "main", trainer.Options{}); err != nil {
		t.Fatal(err)
	}
	first := recommend(t, e, "viewer0").Candidates[0].VideoID
	l.change(func() { l.videos[first] = false })
	e.Changed("main")
	eventually(t, "the withdrawn video leaves", func() bool {
		return !slices.ContainsFunc(recommend(t, e, "viewer0").Candidates, func(c shelf.Candidate) bool { return c.VideoID == first })
	})
	l.change(func() { l.views["late"] = []string{"c01", "c02", "c03"} })
	if answer := recommend(t, e, "late"); answer.Strategy != shelf.FoldIn || answer.Candidates[0].VideoID[0] != 'c' {
		t.Errorf("a viewer newer than the model gets %v by %s", answer.Candidates, answer.Strategy)
	}
}

func TestUnknownTenantAndViewer(t *testing.T) {
	e := start(t, newLibrary(), t.TempDir())
	answer, err := e.Recommend(t.Context(), "other", "nobody", shelf.Query{Limit: 5})
	if err != nil || len(answer.Candidates) != 0 {
		t.Errorf("got %v, %v", answer, err)
	}
	if answer := recommend(t, e, "nobody"); answer.Strategy != shelf.Popular || len(answer.Candidates) != 5 {
		t.Errorf("got %v", answer)
	}
	if _, err := e.Similar("main", "nothing", 5); !errors.Is(err, shelf.ErrUnknownVideo) {
		t.Errorf("got %v", err)
	}
}

func TestFailedTrainingKeepsTheModel(t *testing.T) {
	l := newLibrary()
	e := start(t, l, t.TempDir())
	m, err := e.Train(t.Context(), "main", trainer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("library is down")
	l.change(func() { l.fault = fault })
	if _, err := e.Train(t.Context(), "main", trainer.Options{}); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
	if e.Model("main").Version != m.Version {
		t.Error("the model is gone")
	}
}

func TestTrainingsThatWaitAreBounded(t *testing.T) {
	l := newLibrary()
	e, err := New(Config{Library: l, Models: &model.Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20}, Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxWaiting {
		if _, err := e.Train(gone, "main", trainer.Options{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := e.Train(gone, "main", trainer.Options{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}
