package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

const (
	seed          = 20261122
	viewsPerCall  = 2000
	viewsOfViewer = 14
	// favourite is the share of a viewer's views that follow its taste.
	favourite = 0.85
)

// importViewers makes viewers with tastes and tells what they watched.
func (r *run) importViewers(ctx context.Context, videos [][]*storefrontv1.Video) ([]*storefrontv1.Account, error) {
	request := &storefrontv1.ImportAccountsRequest{}
	for i := range r.config.Viewers {
		request.Accounts = append(request.Accounts, &storefrontv1.ImportedAccount{
			ExternalRef: fmt.Sprintf("demo-viewer-%04d", i), Role: storefrontv1.Role_ROLE_VIEWER,
			DisplayName: fmt.Sprintf("Viewer %d", i+1), Country: "DE",
		})
	}
	imported, err := r.operator.accounts.ImportAccounts(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("import viewers: %w", err)
	}
	views := watch(imported.GetAccounts(), videos)
	for begin := 0; begin < len(views); begin += viewsPerCall {
		part := views[begin:min(begin+viewsPerCall, len(views))]
		if _, err := r.operator.catalogue.RecordViews(ctx, &storefrontv1.RecordViewsRequest{Views: part}); err != nil {
			return nil, fmt.Errorf("record views: %w", err)
		}
		r.screen.bar("views", int64(begin+len(part)), int64(len(views)), fmt.Sprintf("%d viewers", len(imported.GetAccounts())))
	}
	r.views = len(views)
	return imported.GetAccounts(), nil
}

// watch draws what each viewer watches: mostly videos of its own taste,
// some of any, within a taste the earlier ones more often. The same seed
// gives the same views.
func watch(viewers []*storefrontv1.Account, videos [][]*storefrontv1.Video) []*storefrontv1.View {
	random := rand.New(rand.NewPCG(seed, 1))
	var views []*storefrontv1.View
	for i, viewer := range viewers {
		taste := tasteOf(i)
		seen := map[string]bool{}
		for range viewsOfViewer {
			about := taste
			if random.Float64() > favourite {
				about = random.IntN(len(videos))
			}
			list := videos[about]
			video := list[min(random.IntN(len(list)), random.IntN(len(list))+len(list)/4)]
			if seen[video.GetId()] {
				continue
			}
			seen[video.GetId()] = true
			views = append(views, &storefrontv1.View{
				Id: fmt.Sprintf("demo-%s-%s", viewer.GetId()[24:], video.GetId()[14:]), VideoId: video.GetId(),
				ViewerId: viewer.GetId(), Watched: video.GetDuration(),
			})
		}
	}
	return views
}

// tasteOf is the taste of the i-th viewer.
func tasteOf(i int) int { return i % len(tastes) }

// learned is what the recommender made of the views.
type learned struct {
	model, shuffled *recommenderv1alpha1.Model
	// forA and forB are recommendations for viewers of different tastes.
	forA, forB []string
	strategy   string
}

// What a catalogue of enough videos and viewers promises: recall@10 against
// popularity, on the views and on views dealt out anew.
const (
	enoughVideos  = 60
	enoughViewers = 300
	leastRatio    = 1.5
	mostShuffled  = 1.25
)

// check tells whether recommendations are worth their name.
func (l *learned) check() error {
	model := l.model.GetRecallAt_10() / max(l.model.GetPopularityRecallAt_10(), 0.001)
	shuffled := l.shuffled.GetRecallAt_10() / max(l.shuffled.GetPopularityRecallAt_10(), 0.001)
	switch {
	case model < leastRatio:
		return fmt.Errorf("recommendations are only %.2f times as good as popularity, not %.1f", model, leastRatio)
	case shuffled > mostShuffled:
		return fmt.Errorf("recommendations of shuffled views are %.2f times as good as popularity: the measure is wrong", shuffled)
	case slices.Equal(l.forA, l.forB):
		return errors.New("viewers of different tastes get the same recommendations")
	}
	return nil
}

// recommend trains a model and its control, and asks for two viewers of
// different tastes.
func (r *run) recommend(ctx context.Context, viewers []*storefrontv1.Account, videos [][]*storefrontv1.Video) (*learned, error) {
	result := &learned{}
	err := eventually(ctx, "recommender to know every view", func() (bool, error) {
		response, err := r.operator.recommender.Train(ctx, &recommenderv1alpha1.TrainRequest{Seed: seed})
		result.model = response.GetModel()
		return result.model.GetViews() >= uint64(r.views), retryable(err)
	})
	if err != nil {
		return nil, err
	}
	control, err := r.operator.recommender.Train(ctx, &recommenderv1alpha1.TrainRequest{Seed: seed, ShuffleViews: true})
	if err != nil {
		return nil, fmt.Errorf("train the control: %w", err)
	}
	result.shuffled = control.GetModel()
	titles := map[string]string{}
	for _, list := range videos {
		for _, video := range list {
			titles[video.GetId()] = video.GetTitle()
		}
	}
	for i, into := range []*[]string{&result.forA, &result.forB} {
		response, err := r.operator.recommender.Recommend(ctx, &recommenderv1alpha1.RecommendRequest{
			ViewerId: viewers[i].GetId(), Limit: 5,
		})
		if err != nil {
			return nil, fmt.Errorf("recommend: %w", err)
		}
		result.strategy = response.GetStrategy()
		for _, candidate := range response.GetCandidates() {
			*into = append(*into, titles[candidate.GetVideoId()])
		}
	}
	return result, nil
}
