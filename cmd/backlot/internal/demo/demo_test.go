package demo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func TestPlaylistGivesEveryAddress(t *testing.T) {
	text := `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="audio/media.m3u8"
#EXT-X-MAP:URI="init.mp4"
#EXTINF:6.000,
1.m4s
#EXTINF:1.500,
/other/2.m4s
`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }))
	defer server.Close()
	address, err := url.Parse(server.URL + "/media/grant/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	entries, seconds, err := playlist(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, entry := range entries {
		paths = append(paths, entry.Path)
	}
	want := []string{"/media/grant/audio/media.m3u8", "/media/grant/init.mp4", "/media/grant/1.m4s", "/other/2.m4s"}
	if !slices.Equal(paths, want) || seconds != 7.5 {
		t.Errorf("got %v, %v s", paths, seconds)
	}
	text = "not a playlist"
	if _, _, err := playlist(t.Context(), address); err == nil {
		t.Error("a text was taken for a playlist")
	}
}

func TestStateGoesOnUntilARunIsFinished(t *testing.T) {
	dir := t.TempDir()
	selling := func(video string) *state {
		t.Helper()
		s, err := openState(dir)
		if err == nil {
			err = s.sell(video)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, again := selling("a"), selling("a")
	if *again != *first {
		t.Errorf("a cut run does not go on: %+v after %+v", again, first)
	}
	other := selling("b")
	if other.OrderKey == first.OrderKey || other.Buyer == first.Buyer || other.Creator != first.Creator {
		t.Errorf("another video is bought as the one before: %+v after %+v", other, first)
	}
	if err := other.finish(); err != nil {
		t.Fatal(err)
	}
	next := selling("b")
	if next.OrderKey == other.OrderKey || next.Buyer == other.Buyer || next.Creator != other.Creator || next.Runs != 1 {
		t.Errorf("after a finished run: %+v", next)
	}
	if err := next.giveUp(); err != nil {
		t.Fatal(err)
	}
	if last := selling("b"); last.OrderKey == next.OrderKey || last.Buyer == next.Buyer || last.Runs != 1 {
		t.Errorf("after a run that was given up: %+v", last)
	}
	if info, err := os.Stat(filepath.Join(dir, "state.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("passwords are readable by others: %v", err)
	}
}

func TestViewersWatchTheSameEachTimeAndMostlyTheirTaste(t *testing.T) {
	var viewers []*storefrontv1.Account
	for i := range 60 {
		viewers = append(viewers, &storefrontv1.Account{Id: fmt.Sprintf("00000000-0000-7000-8000-%012d", i)})
	}
	var videos [][]*storefrontv1.Video
	taste := map[string]int{}
	for i := range tastes {
		var list []*storefrontv1.Video
		for j := range 10 {
			id := fmt.Sprintf("00000000-0000-7000-8000-%04d%08d", i, j)
			taste[id] = i
			list = append(list, &storefrontv1.Video{Id: id})
		}
		videos = append(videos, list)
	}
	views := watch(viewers, videos)
	own := 0
	ids := map[string]bool{}
	for i, view := range watch(viewers, videos) {
		if view.GetId() != views[i].GetId() || ids[view.GetId()] {
			t.Fatalf("view %d differs from the run before, or its id repeats: %s", i, view.GetId())
		}
		ids[view.GetId()] = true
		viewer := slices.IndexFunc(viewers, func(a *storefrontv1.Account) bool { return a.GetId() == view.GetViewerId() })
		if taste[view.GetVideoId()] == tasteOf(viewer) {
			own++
		}
	}
	if share := float64(own) / float64(len(views)); share < 0.6 || share > 0.95 {
		t.Errorf("share of the own taste: %.2f", share)
	}
}

func TestRecommendationsMustBeWorthTheirName(t *testing.T) {
	of := func(model, popular float32) *recommenderv1alpha1.Model {
		return &recommenderv1alpha1.Model{RecallAt_10: model, PopularityRecallAt_10: popular}
	}
	good := learned{model: of(.6, .2), shuffled: of(.2, .2), forA: []string{"a"}, forB: []string{"b"}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*learned){
		"no better than popularity": func(l *learned) { l.model = of(.2, .2) },
		"good on shuffled views":    func(l *learned) { l.shuffled = of(.6, .2) },
		"the same for everybody":    func(l *learned) { l.forB = l.forA },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBarsAreDrawnInPlaceOnATerminalOnly(t *testing.T) {
	var text strings.Builder
	s := &screen{out: &text}
	s.bar("upload", 1, 2, "")
	if text.Len() > 0 {
		t.Errorf("a part of a bar was printed to a file: %q", text.String())
	}
	s.bar("upload", 2, 2, "done")
	if !strings.Contains(text.String(), "100% done") || !strings.HasSuffix(text.String(), "\n") {
		t.Errorf("got %q", text.String())
	}
}
