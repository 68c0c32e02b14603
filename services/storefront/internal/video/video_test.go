package video_test

import (
	"errors"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

var (
	now   = time.Unix(1_800_000_000, 0)
	price = money.Amount{Minor: 499, Currency: "USD"}
)

func TestVideoGoesFromDraftToWithdrawn(t *testing.T) {
	v := video.Video{State: video.Draft}
	if err := v.Publish(price, now); !errors.Is(err, video.ErrNotReady) {
		t.Fatalf("draft published: %v", err)
	}
	v.UploadFinished(now)
	if err := v.Publish(price, now); !errors.Is(err, video.ErrNotReady) {
		t.Fatalf("half processed video published: %v", err)
	}
	v.Transcoded(video.Media{Prefix: "main/v/j/", Duration: time.Second}, now)
	if err := v.Withdraw(now); !errors.Is(err, video.ErrNotPublished) {
		t.Fatalf("ready video withdrawn: %v", err)
	}
	if err := v.Publish(price, now); err != nil {
		t.Fatal(err)
	}
	if err := v.Withdraw(now); err != nil || v.State != video.Withdrawn {
		t.Fatalf("state %d, err %v", v.State, err)
	}
}

func TestFailedUploadKeepsWhatWasThere(t *testing.T) {
	fresh := video.Video{State: video.Draft}
	fresh.UploadFinished(now)
	fresh.TranscodeFailed("no video stream", now)
	if fresh.State != video.Draft || fresh.Problem != "no video stream" {
		t.Errorf("fresh video: %+v", fresh)
	}

	old := video.Video{State: video.Published, MediaPrefix: "main/v/1/", Price: price}
	old.UploadFinished(now)
	old.TranscodeFailed("no video stream", now)
	if old.State != video.Published || old.MediaPrefix != "main/v/1/" {
		t.Errorf("published video: %+v", old)
	}
	old.Transcoded(video.Media{Prefix: "main/v/2/"}, now)
	if old.State != video.Published || old.MediaPrefix != "main/v/2/" || old.Problem != "" {
		t.Errorf("published video after a good upload: %+v", old)
	}
}

func TestPriceIsChecked(t *testing.T) {
	for _, bad := range []money.Amount{
		{Minor: -1, Currency: "USD"}, {Minor: 1, Currency: "XXY"}, {Minor: video.MaxPriceMinor + 1, Currency: "USD"},
	} {
		v := video.Video{State: video.Ready, MediaPrefix: "p/"}
		if err := v.Publish(bad, now); !errors.Is(err, video.ErrPrice) || v.State != video.Ready {
			t.Errorf("price %+v: err %v, state %d", bad, err, v.State)
		}
	}
}
