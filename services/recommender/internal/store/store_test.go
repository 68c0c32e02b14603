package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	schema "github.com/backlot-video/backlot/sql"

	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
)

var t0 = time.UnixMicro(1_700_000_000_000_000)

func each(t *testing.T, suite func(t *testing.T, db *database.DB, s *Store)) {
	databasetest.EachFS(t, "recommender", schema.Migrations("recommender"), func(t *testing.T, db *database.DB) {
		suite(t, db, New(db))
	})
}

func write(t *testing.T, db *database.DB, fn func(ctx context.Context, tx *sql.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func watch(t *testing.T, db *database.DB, tenant, viewer string, at time.Time, videos ...string) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *sql.Tx) error {
		var views []View
		for _, id := range videos {
			views = append(views, View{VideoID: id, Watched: time.Second, ViewedAt: at})
		}
		return AddViews(ctx, tx, tenant, viewer, views)
	})
}

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, s *Store) {
		t.Run("catalogue keeps what is newer", func(t *testing.T) { catalogue(t, db, s) })
		t.Run("repeated views count one viewer", func(t *testing.T) { repeats(t, db, s) })
		t.Run("history is latest first", func(t *testing.T) { history(t, db, s) })
		t.Run("views page through everything", func(t *testing.T) { paging(t, db, s) })
	})
}

func catalogue(t *testing.T, db *database.DB, s *Store) {
	write(t, db, func(ctx context.Context, tx *sql.Tx) error {
		for _, step := range []struct {
			available bool
			after     time.Duration
		}{{true, 1}, {false, 3}, {true, 2}} {
			if err := PutVideo(ctx, tx, "one", "v", step.available, t0.Add(step.after*time.Second)); err != nil {
				return err
			}
		}
		return PutVideo(ctx, tx, "two", "w", true, t0)
	})
	for tenant, want := range map[string][]shelf.Video{
		"one": {{ID: "v"}}, "two": {{ID: "w", Available: true}}, "three": nil,
	} {
		if got, err := s.Catalogue(t.Context(), tenant); err != nil || !slices.Equal(got, want) {
			t.Errorf("catalogue of %s is %v, %v, want %v", tenant, got, err, want)
		}
	}
	if got, err := s.Tenants(t.Context()); err != nil || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("tenants are %v, %v", got, err)
	}
}

func repeats(t *testing.T, db *database.DB, s *Store) {
	watch(t, db, "repeats", "a", t0, "x", "x", "y")
	watch(t, db, "repeats", "a", t0, "x")
	watch(t, db, "repeats", "b", t0, "x")
	write(t, db, func(ctx context.Context, tx *sql.Tx) error {
		return PutVideo(ctx, tx, "repeats", "x", true, t0)
	})
	want := []shelf.Video{{ID: "x", Available: true, Viewers: 2}, {ID: "y", Viewers: 1}}
	if got, err := s.Catalogue(t.Context(), "repeats"); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func history(t *testing.T, db *database.DB, s *Store) {
	watch(t, db, "history", "a", t0.Add(2*time.Second), "x")
	watch(t, db, "history", "a", t0.Add(3*time.Second), "y")
	watch(t, db, "history", "a", t0.Add(1*time.Second), "z", "y") // late news
	watch(t, db, "history", "b", t0, "other")
	for limit, want := range map[int][]string{2: {"y", "x"}, 10: {"y", "x", "z"}} {
		if got, err := s.History(t.Context(), "history", "a", limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func paging(t *testing.T, db *database.DB, s *Store) {
	const viewers, each = 30, 20
	small := &Store{db: db, page: 70}
	for v := range viewers {
		var videos []string
		for i := range each {
			videos = append(videos, fmt.Sprintf("video-%03d", (v+i)%40))
		}
		watch(t, db, "paging", fmt.Sprintf("viewer-%02d", v), t0, videos...)
	}
	views, videos, more, err := small.Views(t.Context(), "paging", 1_000)
	if err != nil {
		t.Fatal(err)
	}
	if views.Rows != viewers || views.Cols != 40 || views.Len() != viewers*each || more {
		t.Errorf("got %d by %d with %d views, more %v", views.Rows, views.Cols, views.Len(), more)
	}
	for _, v := range []int{0, 13, 29} {
		var got []string
		for _, at := range views.Row(v) {
			got = append(got, videos[at])
		}
		slices.Sort(got)
		if first := fmt.Sprintf("video-%03d", v); v <= 20 && got[0] != first {
			t.Errorf("viewer %d starts with %s, want %s", v, got[0], first)
		}
	}
	views, _, more, err = small.Views(t.Context(), "paging", 105)
	if err != nil || views.Len() != 105 || !more {
		t.Errorf("with a limit: %d views, more %v, %v", views.Len(), more, err)
	}
	views, videos, more, err = s.Views(t.Context(), "nobody", 10)
	if err != nil || views.Rows != 0 || len(videos) != 0 || more {
		t.Errorf("nobody: %d viewers, %v", views.Rows, err)
	}
}
