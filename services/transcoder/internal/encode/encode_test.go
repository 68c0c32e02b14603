package encode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/probe"
)

func plan(t *testing.T, m probe.Media) ladder.Plan {
	t.Helper()
	width, height := m.Video.Size()
	p, err := ladder.Make(ladder.Config{}, ladder.Source{Width: width, Height: height, RateNum: 30, RateDen: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestArgsScaleInACascade(t *testing.T) {
	m := probe.Media{Video: probe.Video{Index: 1, Width: 854, Height: 480, Interlaced: true, Transfer: "smpte2084"}}
	args := Args("/in", m, plan(t, m))
	want := "[0:1]bwdif=mode=send_frame,fps=30/1:start_time=0,zscale=p=bt709:t=bt709:m=bt709:r=tv,scale=854:480,setsar=1,format=yuv420p,split=2[v0][c0];" +
		"[c0]null,scale=428:240,setsar=1,format=yuv420p[v1]"
	if got := args[slices.Index(args, "-filter_complex")+1]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if slices.Contains(args, "-c:a") {
		t.Error("sound of a silent source")
	}
}

func TestArgsAlwaysGuardTheInput(t *testing.T) {
	m := probe.Media{Video: probe.Video{Width: 64, Height: 64}, Audio: &probe.Audio{Index: 2, Channels: 6}}
	text := strings.Join(Args("-odd name", m, plan(t, m)), " ")
	guards := "-protocol_whitelist file -format_whitelist " + probe.Formats + " -i file:-odd name "
	for _, want := range []string{"-nostdin", guards, "-map 0:2 -c:a aac -b:a 128000 -ar 48000 -ac 2", "-map_metadata -1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestPromiseCountsFramesWhereTheDurationIsTheFiles(t *testing.T) {
	m := probe.Media{Duration: 10 * time.Second, WholeFile: true, Video: probe.Video{Width: 64, Height: 64, Frames: 120, FrameRate: probe.Ratio{Num: 15, Den: 1}}}
	if p := Promise(m, plan(t, m)); p.Frames != 240 || !p.WholeFile {
		t.Errorf("got %+v", p)
	}
	m.WholeFile = false
	if p := Promise(m, plan(t, m)); p.Frames != 0 || p.Duration != 10*time.Second {
		t.Errorf("got %+v", p)
	}
}
