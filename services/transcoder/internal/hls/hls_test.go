package hls

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
)

// presentation makes 3 s in segments of 2 s: folders 0 (320x180) and 1 (sound).
func presentation(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"0", "1"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	manifest := cliptest.Make(t, "manifest.mpd", "-f lavfi -i testsrc=s=320x180:r=30:d=3 -f lavfi -i sine=d=3 -c:v libx264 -profile:v high -pix_fmt yuv420p -preset superfast -g 60 -keyint_min 60 -sc_threshold 0 -c:a aac -ar 48000 -f dash -seg_duration 2 -use_timeline 1 -init_seg_name "+"$RepresentationID$-"+InitName+" -media_seg_name $RepresentationID$-"+SegmentFormat)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(manifest), "?-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		folder, name, _ := strings.Cut(filepath.Base(path), "-")
		if err := os.Rename(path, filepath.Join(root, folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func promise() Promise {
	return Promise{
		Duration: 3 * time.Second, Sound: true, SoundTime: 3 * time.Second, Frames: 90,
		Renditions: map[string]Size{"0": {320, 180}},
	}
}

func TestPackageWritesPlaylistsOfWhatIsThere(t *testing.T) {
	dir := presentation(t)
	tracks, err := Package(dir, []string{"0", "1"}, 30, promise())
	if err != nil {
		t.Fatal(err)
	}
	if v := tracks[0]; v.Frames != 90 || v.Duration() != 3*time.Second || len(v.Segments) != 2 || !strings.HasPrefix(v.Codec, "avc1.6400") {
		t.Errorf("got %+v", v)
	}
	master, err := os.ReadFile(filepath.Join(dir, MasterName))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RESOLUTION=320x180,FRAME-RATE=30.000,CODECS=\"avc1.6400", ",mp4a.40.2\",AUDIO=\"sound\"\n0/index.m3u8\n", "URI=\"1/index.m3u8\""} {
		if !strings.Contains(string(master), want) {
			t.Errorf("no %s in\n%s", want, master)
		}
	}
	media, err := os.ReadFile(filepath.Join(dir, "0", MediaName))
	want := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.000000,\nseg-00001.m4s\n#EXTINF:1.000000,\nseg-00002.m4s\n#EXT-X-ENDLIST\n"
	if err != nil || string(media) != want {
		t.Errorf("got\n%s, %v; want\n%s", media, err, want)
	}
}

func TestPackageRefusesWhatIsNotWhole(t *testing.T) {
	dir := presentation(t)
	path := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, test := range []struct {
		name   string
		file   string
		change func(data []byte) []byte // nil: remove the file
		adjust func(p *Promise)
	}{
		{name: "no init", file: path("0", InitName)},
		{name: "no first segment", file: path("0", "seg-00001.m4s")},
		{name: "no last segment", file: path("0", "seg-00002.m4s")},
		{name: "no sound segment", file: path("1", "seg-00002.m4s")},
		{name: "segment cut short", file: path("0", "seg-00002.m4s"), change: func(d []byte) []byte { return d[:len(d)-10] }},
		{name: "segment empty", file: path("0", "seg-00002.m4s"), change: func([]byte) []byte { return nil }},
		{name: "no segment at all", file: path("0", "seg-00001.m4s"), change: func([]byte) []byte { return []byte("text that is no box") }},
		{name: "longer source", adjust: func(p *Promise) { p.Duration = 4 * time.Second }},
		{name: "longer sound", adjust: func(p *Promise) { p.SoundTime = 4 * time.Second }},
		{name: "more frames", adjust: func(p *Promise) { p.Frames = 100 }},
		{name: "other size", adjust: func(p *Promise) { p.Renditions["0"] = Size{320, 240} }},
		{name: "no sound wanted", adjust: func(p *Promise) { p.Sound = false }},
		{name: "more renditions", adjust: func(p *Promise) { p.Renditions["x"] = Size{2, 2} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := promise()
			if test.adjust != nil {
				test.adjust(&p)
			}
			if test.file != "" {
				data, err := os.ReadFile(test.file)
				if err != nil {
					t.Fatal(err)
				}
				defer os.WriteFile(test.file, data, 0o600)
				if test.change == nil {
					err = os.Remove(test.file)
				} else {
					err = os.WriteFile(test.file, test.change(data), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Package(dir, []string{"0", "1"}, 30, p); !errors.Is(err, ErrIncomplete) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(path(MasterName)); err == nil {
				t.Error("a playlist was written")
			}
		})
	}
}

func TestPeakIsOfRunsNearTheTargetDuration(t *testing.T) {
	track := Track{Width: 2, Timescale: 10, Segments: []Segment{{Ticks: 60, Bytes: 6000}, {Ticks: 60, Bytes: 12000}, {Ticks: 5, Bytes: 5000}}}
	// The last alone would be 80 kb/s, but lasts under half the target. With
	// the one before it: 17,000 bytes in 6.5 s.
	if got, want := track.Peak(), int64(20924); got != want {
		t.Errorf("peak %d, want %d", got, want)
	}
	if got, want := track.Average(), int64(14720); got != want {
		t.Errorf("average %d, want %d", got, want)
	}
	short := Track{Timescale: 10, Segments: []Segment{{Ticks: 1, Bytes: 100}}}
	if short.Peak() != 8000 || short.targetSeconds() != 1 {
		t.Errorf("short: %d bit/s, %d s", short.Peak(), short.targetSeconds())
	}
}

func TestRenditionsMustCutAtTheSameTimes(t *testing.T) {
	a := Track{Name: "a", Width: 4, Height: 4, Timescale: 10, Frames: 10, Segments: []Segment{{Ticks: 60}, {Ticks: 40}}}
	b := a
	b.Name, b.Timescale, b.Segments = "b", 20, []Segment{{Ticks: 120}, {Ticks: 80}}
	p := Promise{Duration: 10 * time.Second, Renditions: map[string]Size{"a": {4, 4}, "b": {4, 4}}}
	if err := verify([]Track{a, b}, p); err != nil {
		t.Error(err)
	}
	b.Segments = []Segment{{Ticks: 100}, {Ticks: 100}}
	if err := verify([]Track{a, b}, p); !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v", err)
	}
}

func FuzzReadTrack(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte("\x00\x00\x00\x10moov\x00\x00\x00\x08mvex"), []byte("\x00\x00\x00\x10moof\x00\x00\x00\x08traf"))
	f.Fuzz(func(t *testing.T, init, segment []byte) {
		dir := fstest.MapFS{"t/" + InitName: {Data: init}, "t/seg-00001.m4s": {Data: segment}}
		track, err := ReadTrack(dir, "t")
		if err == nil && (track.Timescale <= 0 || len(track.Segments) != 1 || track.Segments[0].Ticks <= 0) {
			t.Errorf("accepted %+v", track)
		}
	})
}
