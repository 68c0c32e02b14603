package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// Config says what to drive.
type Config struct {
	Gateway     string // http://host:port
	OperatorKey string // file with the operator's key
	StateDir    string // folder for the demo's own files
	Video       string // file; empty: make a clip
	Seconds     int    // length of the clip that is made
	Size        string // its frame, WxH
	Catalogue   int    // short clips beside it; 0: none, and no recommendations
	Viewers     int
	FFmpeg      string
	Out         io.Writer
	Terminal    bool
}

// run is one journey.
type run struct {
	config   Config
	screen   *screen
	state    *state
	operator *session
	creator  *session
	buyer    *session
	views    int
}

const mainPrice = 499

// Run drives the journey and prints the receipt.
func Run(ctx context.Context, config Config) error {
	r := &run{config: config, screen: &screen{out: config.Out, terminal: config.Terminal}}
	var err error
	if r.state, err = openState(config.StateDir); err != nil {
		return fmt.Errorf("demo's own folder: %w", err)
	}
	if err := r.signIn(ctx); err != nil {
		return err
	}
	r.screen.step("rules released through the configstore")
	if err := r.releaseRules(ctx); err != nil {
		return err
	}
	video, err := r.publishMain(ctx)
	if err != nil {
		return err
	}
	learned, err := r.audience(ctx, video)
	if err != nil {
		return err
	}
	if err := r.meetBuyer(ctx, video); err != nil {
		return err
	}
	if err := r.refusedWithoutPurchase(ctx, video); err != nil {
		return err
	}
	r.screen.step("buying: risk decision, then one transaction over storefront and settlement")
	sale, err := r.buy(ctx, video)
	if err != nil {
		return err
	}
	r.screen.step("playing the bought video by a signed address")
	played, err := r.play(ctx, video)
	if err != nil {
		return err
	}
	r.receipt(config.Out, video, sale, played, learned)
	return r.state.finish()
}

func (r *run) signIn(ctx context.Context) error {
	key, err := os.ReadFile(r.config.OperatorKey)
	if err != nil {
		return fmt.Errorf("operator's key: %w; it is made when storefront starts first, --operator-key names another file", err)
	}
	anonymous := newSession(r.config.Gateway)
	err = eventually(ctx, "the gateway to answer", func() (bool, error) {
		r.operator, err = anonymous.operator(ctx, strings.TrimSpace(string(key)))
		return err == nil, retryable(err)
	})
	if err != nil {
		return errors.Join(err, fmt.Errorf("is Backlot running? The gateway is expected at %s (--gateway)", r.config.Gateway))
	}
	r.creator, err = anonymous.person(ctx, storefrontv1.Role_ROLE_CREATOR, r.state.Creator)
	return err
}

// meetBuyer signs the buyer of a video in.
func (r *run) meetBuyer(ctx context.Context, video *storefrontv1.Video) error {
	err := r.state.sell(video.GetId())
	if err == nil {
		r.buyer, err = newSession(r.config.Gateway).person(ctx, storefrontv1.Role_ROLE_VIEWER, r.state.Buyer)
	}
	return err
}

func (r *run) publishMain(ctx context.Context) (*storefrontv1.Video, error) {
	path, err := r.mainVideo(ctx)
	if err != nil {
		return nil, err
	}
	mark, err := fingerprint(path)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	r.screen.step("%s uploads %s", r.state.Creator.Name, filepath.Base(path))
	return r.ensureVideo(ctx, path, &storefrontv1.CreateVideoRequest{
		Title: name, Description: "The video of the demo.", ExternalRef: "demo-main-" + mark,
	}, mainPrice, true)
}

// audience fills the catalogue, lets viewers watch and trains on that.
func (r *run) audience(ctx context.Context, main *storefrontv1.Video) (*learned, error) {
	if r.config.Catalogue == 0 || r.config.Viewers == 0 {
		return nil, nil
	}
	r.screen.step("%d short clips in %d tastes go through the same pipeline", r.config.Catalogue, len(tastes))
	videos, err := r.fillCatalogue(ctx)
	if err != nil {
		return nil, err
	}
	videos[0] = append(videos[0], main)
	r.screen.step("%d viewers watch", r.config.Viewers)
	viewers, err := r.importViewers(ctx, videos)
	if err != nil {
		return nil, err
	}
	r.screen.step("the recommender learns")
	learned, err := r.recommend(ctx, viewers, videos)
	if err != nil {
		return nil, err
	}
	if r.config.Catalogue >= enoughVideos && r.config.Viewers >= enoughViewers {
		return learned, learned.check()
	}
	return learned, nil
}
