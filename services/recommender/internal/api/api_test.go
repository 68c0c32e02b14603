package api

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	schema "github.com/backlot-video/backlot/sql"

	"github.com/backlot-video/backlot/services/recommender/internal/engine"
	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/store"
)

// serve returns a server with 90 viewers, viewer0 to viewer89, of three
// tastes of 12 videos: a00 to a11, b.., c...
func serve(t *testing.T) *Server {
	t.Helper()
	cfg := databasetest.Config(t, database.SQLite, "recommender")
	db := databasetest.Open(t, cfg, schema.Migrations("recommender"))
	random := rand.New(rand.NewPCG(1, 2))
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i := range 36 {
			if err := store.PutVideo(ctx, tx, "main", fmt.Sprintf("%c%02d", "abc"[i%3], i/3), true, time.Now()); err != nil {
				return err
			}
		}
		for v := range 90 {
			var views []store.View
			for _, i := range random.Perm(12)[:5] {
				views = append(views, store.View{VideoID: fmt.Sprintf("%c%02d", "abc"[v%3], i), ViewedAt: time.Now()})
			}
			if err := store.AddViews(ctx, tx, "main", fmt.Sprint("viewer", v), views); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{
		Library: store.New(db), Models: &model.Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Clock: time.Now,
		TrainDelay: time.Hour, TrainInterval: time.Hour, RefreshEvery: time.Hour, MaxViews: 1e6, MaxHistory: 100,
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
	return &Server{Engine: e, Blend: func() *recommenderv1alpha1.Blend { return nil }}
}

func as(t *testing.T, kind identity.Kind, id string) context.Context {
	return identity.With(t.Context(), identity.Principal{Kind: kind, ID: id, TenantID: "main"})
}

func train(t *testing.T, s *Server, req *recommenderv1alpha1.TrainRequest) *recommenderv1alpha1.TrainResponse {
	t.Helper()
	res, err := s.Train(as(t, identity.Operator, "op"), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTrainTellsHowGoodTheModelIs(t *testing.T) {
	s := serve(t)
	operator := as(t, identity.Operator, "op")
	if res, err := s.GetModel(operator, nil); err != nil || res.GetModel() != nil {
		t.Fatalf("before the first training: %v, %v", res, err)
	}
	res := train(t, s, &recommenderv1alpha1.TrainRequest{})
	m := res.GetModel()
	if !res.GetServing() || m.GetViewers() != 90 || m.GetVideos() != 36 || m.GetViews() != 450 || m.GetVersion() == "" {
		t.Errorf("got %v", res)
	}
	if m.GetRecallAt_10() < 1.5*m.GetPopularityRecallAt_10() || m.GetPopularityRecallAt_10() == 0 || m.GetTrainingTime() <= 0 {
		t.Errorf("recall %g against %g in %d us", m.GetRecallAt_10(), m.GetPopularityRecallAt_10(), m.GetTrainingTime())
	}
	control := train(t, s, &recommenderv1alpha1.TrainRequest{ShuffleViews: true})
	if c := control.GetModel(); control.GetServing() || c.GetRecallAt_10() > 1.3*c.GetPopularityRecallAt_10() {
		t.Errorf("the control reaches %g against %g, serving %v", c.GetRecallAt_10(), c.GetPopularityRecallAt_10(), control.GetServing())
	}
	if res, err := s.GetModel(operator, nil); err != nil || res.GetModel().GetVersion() != m.GetVersion() {
		t.Errorf("serving is %v, %v", res, err)
	}
}

func TestRecommendDiffersByViewer(t *testing.T) {
	s := serve(t)
	train(t, s, &recommenderv1alpha1.TrainRequest{})
	for v := range 6 {
		res, err := s.Recommend(as(t, identity.Viewer, fmt.Sprint("viewer", v)), &recommenderv1alpha1.RecommendRequest{Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.GetCandidates()) != 5 || res.GetStrategy() != "fold_in" || res.GetModelVersion() == "" {
			t.Errorf("viewer %d: %v", v, res)
		}
		for _, c := range res.GetCandidates() {
			if c.GetVideoId()[0] != "abc"[v%3] {
				t.Errorf("viewer %d gets %v", v, res.GetCandidates())
				break
			}
		}
	}
}

func TestRecommendUsesTheConfiguredBlend(t *testing.T) {
	s := serve(t)
	train(t, s, &recommenderv1alpha1.TrainRequest{})
	s.Blend = func() *recommenderv1alpha1.Blend { return &recommenderv1alpha1.Blend{PopularityPpm: 1_000_000} }
	res, err := s.Recommend(as(t, identity.Viewer, "viewer0"), &recommenderv1alpha1.RecommendRequest{})
	if err != nil || res.GetStrategy() != "popular" || len(res.GetCandidates()) != 10 {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestWhoMayAskAboutWhom(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		kind       identity.Kind
		caller, of string
		want       connect.Code
	}{
		{identity.Viewer, "viewer1", "", 0},
		{identity.Viewer, "viewer1", "viewer1", 0},
		{identity.Viewer, "viewer1", "viewer2", connect.CodePermissionDenied},
		{identity.Creator, "viewer1", "viewer2", connect.CodePermissionDenied},
		{identity.Operator, "op", "viewer2", 0},
		{identity.Service, "storefront", "viewer2", 0},
		{identity.Operator, "op", "", connect.CodeInvalidArgument},
	} {
		_, err := s.Recommend(as(t, c.kind, c.caller), &recommenderv1alpha1.RecommendRequest{ViewerId: c.of})
		if (c.want == 0) != (err == nil) || (err != nil && connect.CodeOf(err) != c.want) {
			t.Errorf("%v %q about %q: %v, want %v", c.kind, c.caller, c.of, err, c.want)
		}
	}
}

func TestSimilarToAnUnknownVideo(t *testing.T) {
	s := serve(t)
	ctx := as(t, identity.Anonymous, "")
	if _, err := s.ListSimilar(ctx, &recommenderv1alpha1.ListSimilarRequest{VideoId: "none"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v", err)
	}
	res, err := s.ListSimilar(ctx, &recommenderv1alpha1.ListSimilarRequest{VideoId: "a01", Limit: 3})
	if err != nil || len(res.GetCandidates()) != 3 || res.GetModelVersion() != "" {
		t.Errorf("without a model: %v, %v", res, err)
	}
}
