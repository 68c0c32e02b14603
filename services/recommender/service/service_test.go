package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/rpc"
	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config = Config{TrainDelay: -1}
	err := s.Validate()
	for _, field := range []string{"train-delay", "train-interval", "refresh-interval", "keep-models", "model-bytes", "max-views", "max-history"} {
		if err == nil || !strings.Contains(err.Error(), "recommender."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// client is a service beside the recommender: it runs a test from there.
type client struct {
	test func(ctx context.Context, host *lifecycle.Host) error
	done chan error
}

func (c *client) Name() string              { return "client" }
func (c *client) RegisterFlags(*config.Set) {}
func (c *client) Validate() error           { return nil }
func (c *client) Run(ctx context.Context, host *lifecycle.Host) error {
	host.Ready()
	c.done <- c.test(ctx, host)
	<-ctx.Done()
	return nil
}

// beside runs test beside the recommender, in one process on dir.
func beside(t *testing.T, dir string, args []string, test func(ctx context.Context, host *lifecycle.Host) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := &client{test: test, done: make(chan error, 1)}
	args = append([]string{"--data-dir", dir, "--ops-listen", ""}, args...)
	ended := make(chan error, 1)
	go func() { ended <- lifecycle.Run(ctx, "test", args, nil, t.Output(), New(), c) }()
	select {
	case err := <-c.done:
		if err != nil {
			t.Error(err)
		}
	case err := <-ended:
		t.Fatalf("ended early: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
}

func as(ctx context.Context, kind identity.Kind, id string) context.Context {
	caller := identity.Principal{Kind: kind, ID: id, TenantID: "main", Expires: time.Now().Add(time.Minute)}
	return rpc.AsCaller(identity.With(ctx, caller))
}

// tell publishes 60 videos of 6 tastes, a to f, and views of 120 viewers.
func tell(ctx context.Context, host *lifecycle.Host) error {
	broker, err := host.MQ(ctx)
	if err != nil {
		return err
	}
	send := func(kind, key string, fact proto.Message) {
		envelope, fault := mq.NewEnvelope("main", "backlot.storefront."+kind+".v1", key, fact)
		err = errors.Join(err, fault)
		if err == nil {
			err = broker.Publish(ctx, "storefront", envelope)
		}
	}
	video := func(i int) string { return fmt.Sprintf("%c%d", "abcdef"[i/10], i%10) }
	for i := range 60 {
		send("video_published", video(i), &storefrontv1.VideoPublished{VideoId: video(i)})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for v := range 120 {
		fact := &storefrontv1.VideosViewed{ViewerId: fmt.Sprint("viewer", v)}
		for _, i := range random.Perm(10)[:5] {
			fact.Views = append(fact.Views, &storefrontv1.ViewedVideo{VideoId: video(v%6*10 + i), ViewedAt: time.Now().UnixMicro()})
		}
		send("videos_viewed", fact.GetViewerId(), fact)
	}
	return err
}

// trainOn trains until the model knows that many views.
func trainOn(ctx context.Context, c recommenderv1alpha1.RecommenderServiceClient, views uint64) (*recommenderv1alpha1.Model, error) {
	for {
		res, err := c.Train(as(ctx, identity.Operator, "op"), &recommenderv1alpha1.TrainRequest{})
		if err != nil || res.GetModel().GetViews() == views {
			return res.GetModel(), err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d views after all the time", res.GetModel().GetViews())
		}
	}
}

func checkTastes(ctx context.Context, c recommenderv1alpha1.RecommenderServiceClient, version string) error {
	for v := range 12 {
		res, err := c.Recommend(as(ctx, identity.Viewer, fmt.Sprint("viewer", v)), &recommenderv1alpha1.RecommendRequest{Limit: 4})
		if err != nil {
			return err
		}
		if res.GetModelVersion() != version {
			return fmt.Errorf("model %q answers, want %q", res.GetModelVersion(), version)
		}
		for _, candidate := range res.GetCandidates() {
			if candidate.GetVideoId()[0] != "abcdef"[v%6] {
				return fmt.Errorf("viewer %d gets %v", v, res.GetCandidates())
			}
		}
	}
	return nil
}

func TestFactsTrainAndServeAndSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var version string
	beside(t, dir, nil, func(ctx context.Context, host *lifecycle.Host) error {
		if err := tell(ctx, host); err != nil {
			return err
		}
		c := recommenderv1alpha1.NewRecommenderServiceClient(host.Dial(name))
		m, err := trainOn(ctx, c, 600)
		if err != nil {
			return err
		}
		if m.GetRecallAt_10() < 1.5*m.GetPopularityRecallAt_10() {
			return fmt.Errorf("recall is %g, popularity's %g", m.GetRecallAt_10(), m.GetPopularityRecallAt_10())
		}
		version = m.GetVersion()
		return checkTastes(ctx, c, version)
	})
	beside(t, dir, nil, func(ctx context.Context, host *lifecycle.Host) error {
		return checkTastes(ctx, recommenderv1alpha1.NewRecommenderServiceClient(host.Dial(name)), version)
	})
}

func TestViewsAreImported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "views.csv")
	if err := os.WriteFile(file, []byte("ann,x\nann,y\nbob,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	beside(t, t.TempDir(), []string{"--recommender.import", file}, func(ctx context.Context, host *lifecycle.Host) error {
		c := recommenderv1alpha1.NewRecommenderServiceClient(host.Dial(name))
		res, err := c.Recommend(as(ctx, identity.Viewer, "eve"), &recommenderv1alpha1.RecommendRequest{})
		if err != nil || len(res.GetCandidates()) != 2 || res.GetCandidates()[0].GetVideoId() != "x" {
			return fmt.Errorf("got %v, %w", res, err)
		}
		return nil
	})
}

func TestAnotherViewerIsRefused(t *testing.T) {
	beside(t, t.TempDir(), nil, func(ctx context.Context, host *lifecycle.Host) error {
		c := recommenderv1alpha1.NewRecommenderServiceClient(host.Dial(name))
		if _, err := c.Recommend(as(ctx, identity.Viewer, "eve"), &recommenderv1alpha1.RecommendRequest{ViewerId: "ann"}); err == nil {
			return errors.New("a viewer read another's recommendations")
		}
		if _, err := c.Train(as(ctx, identity.Viewer, "eve"), &recommenderv1alpha1.TrainRequest{}); err == nil {
			return errors.New("a viewer started a training")
		}
		return nil
	})
}
