package ladder

import (
	"fmt"
	"strings"
	"testing"
)

func sizes(p Plan) string {
	var parts []string
	for _, r := range p.Renditions {
		parts = append(parts, fmt.Sprintf("%s=%dx%d", r.Name, r.Width, r.Height))
	}
	return strings.Join(parts, " ")
}

func TestMakeChoosesSizes(t *testing.T) {
	for _, test := range []struct {
		width, height int
		want          string
	}{
		{1920, 1080, "1080p=1920x1080 720p=1280x720 480p=854x480 240p=426x240"},
		{3840, 2160, "1080p=1920x1080 720p=1280x720 480p=854x480 240p=426x240"},
		{1280, 720, "720p=1280x720 480p=854x480 240p=426x240"},
		{720, 1280, "720p=720x1280 480p=480x854 240p=240x426"},
		{1024, 600, "600p=1024x600 480p=820x480 240p=410x240"},
		{854, 500, "480p=820x480 240p=410x240"},
		{320, 180, "180p=320x180"},
		{321, 181, "180p=320x180"},
		{640, 480, "480p=640x480 240p=320x240"},
		{8, 4, "4p=16x16"},
	} {
		p, err := Make(Config{}, Source{Width: test.width, Height: test.height, RateNum: 30, RateDen: 1})
		if err != nil || sizes(p) != test.want {
			t.Errorf("%dx%d: got %s, %v; want %s", test.width, test.height, sizes(p), err, test.want)
		}
	}
}

func TestMakeNeverEnlargesAndIsEven(t *testing.T) {
	for width := 17; width < 2200; width += 61 {
		for height := 17; height < 2200; height += 53 {
			p, err := Make(Config{}, Source{Width: width, Height: height, RateNum: 25, RateDen: 1})
			if err != nil || len(p.Renditions) == 0 {
				t.Fatalf("%dx%d: %v", width, height, err)
			}
			seen := map[string]bool{}
			for _, r := range p.Renditions {
				// One pixel more makes an odd size even.
				if r.Width > width+1 || r.Height > height+1 || r.Width%2+r.Height%2 != 0 || seen[r.Name] {
					t.Fatalf("%dx%d: %s", width, height, sizes(p))
				}
				seen[r.Name] = true
			}
		}
	}
}

func TestFrameRateIsConstantAndClamped(t *testing.T) {
	for _, test := range []struct {
		num, den, wantNum, wantDen int64
		gop                        int
	}{
		{30, 1, 30, 1, 60},
		{30000, 1001, 30000, 1001, 60},
		{2997, 100, 30000, 1001, 60},
		{24000, 1001, 24000, 1001, 48},
		{120, 1, 60, 1, 120},
		{1, 10, 1, 1, 2},
		{0, 0, 25, 1, 50},
		{12700, 1000, 12700, 1000, 26},
		{90000, 3001, 30, 1, 60},
	} {
		p, err := Make(Config{}, Source{Width: 64, Height: 64, RateNum: test.num, RateDen: test.den})
		if err != nil || p.RateNum != test.wantNum || p.RateDen != test.wantDen || p.GOP != test.gop {
			t.Errorf("%d/%d: got %d/%d, %d frames, %v", test.num, test.den, p.RateNum, p.RateDen, p.GOP, err)
		}
	}
}

func TestMakeSortsAndMergesRungs(t *testing.T) {
	c := Config{Rungs: []Rung{{Height: 240}, {Height: 480, CRF: 20}, {Height: 480, CRF: 30}}, Preset: "ultrafast", SegmentSeconds: 4}
	p, err := Make(c, Source{Width: 640, Height: 480, RateNum: 25, RateDen: 1})
	if err != nil || sizes(p) != "480p=640x480 240p=320x240" {
		t.Fatalf("got %s, %v", sizes(p), err)
	}
	if p.Renditions[0].CRF != 20 || p.Renditions[1].CRF != 23 || p.Preset != "ultrafast" || p.SegmentSeconds != 4 {
		t.Errorf("got %+v", p)
	}
	if c.Rungs[0].Height != 240 {
		t.Error("the configuration was changed")
	}
}

func TestMakeRefusesNoSize(t *testing.T) {
	if _, err := Make(Config{}, Source{}); err == nil {
		t.Error("made a ladder of nothing")
	}
}
