package probe

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/process"
)

func newProber(t *testing.T) func(path string, limits Limits) (Media, error) {
	t.Helper()
	supervisor, err := process.New(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(supervisor.Close)
	tool, err := process.Find("ffprobe", "")
	if err != nil {
		t.Fatal(err)
	}
	return func(path string, limits Limits) (Media, error) {
		return File(t.Context(), supervisor, tool, path, limits)
	}
}

func TestFileDescribesVideo(t *testing.T) {
	prober := newProber(t)
	short := cliptest.Make(t, "short.mp4", cliptest.Short)
	for _, test := range []struct {
		name, path    string
		width, height int
		frames        int64
		sound         bool
	}{
		{"mp4", short, 320, 180, 30, true},
		{"mkv", cliptest.Make(t, "short.mkv", "-i "+short+" -c copy"), 320, 180, 30, true},
		{"ts", cliptest.Make(t, "short.ts", "-i "+short+" -c copy"), 320, 180, 30, true},
		{"silent", cliptest.Make(t, "silent.mp4", cliptest.Silent), 320, 180, 25, false},
		{"rotated", cliptest.Make(t, "rotated.mp4", "-i "+short+" -c copy -metadata:s:v rotate=90"), 180, 320, 30, true},
		{"anamorphic", cliptest.Make(t, "wide.mp4", "-f lavfi -i testsrc=s=320x180:d=1,setsar=2 -c:v libx264 -preset ultrafast"), 640, 180, 25, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := prober(test.path, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			width, height := m.Video.Size()
			if width != test.width || height != test.height || m.Video.Frames != test.frames || (m.Audio != nil) != test.sound {
				t.Errorf("got %dx%d, %d frames, audio %v", width, height, m.Video.Frames, m.Audio)
			}
			if m.WholeFile || (m.Duration-time.Second).Abs() > 50*time.Millisecond || m.Video.Codec != "h264" {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestFileRefuses(t *testing.T) {
	prober := newProber(t)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short := cliptest.Make(t, "short.mp4", cliptest.Short)
	whole, err := os.ReadFile(cliptest.Make(t, "fast.mp4", "-i "+short+" -c copy -movflags +faststart"))
	if err != nil {
		t.Fatal(err)
	}
	png, err := os.ReadFile(cliptest.Make(t, "one.png", "-i "+short+" -frames:v 1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		limits     Limits
		want       Reason
	}{
		{"empty", write("empty.mp4", nil), Limits{}, Empty},
		{"text", write("text.mp4", []byte("this is not a video at all\n")), Limits{}, NotVideo},
		{"image", write("image.mp4", png), Limits{}, NotVideo},
		{"playlist", write("list.mp4", []byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://"+short+"\n#EXT-X-ENDLIST\n")), Limits{}, NotVideo},
		{"concat script", write("concat.mp4", []byte("ffconcat version 1.0\nfile '"+short+"'\n")), Limits{}, NotVideo},
		{"cut short", write("cut.mp4", whole[:len(whole)/2]), Limits{}, Truncated},
		{"sound only", cliptest.Make(t, "sound.m4a", "-f lavfi -i sine=d=1 -c:a aac"), Limits{}, NotVideo},
		{"still picture", cliptest.Make(t, "still.mp4", "-i "+short+" -an -frames:v 1 -c:v libx264 -preset ultrafast"), Limits{}, NotVideo},
		{"cover picture", coverOnly(t, short), Limits{}, NotVideo},
		{"too long", short, Limits{Duration: 500 * time.Millisecond}, TooLarge},
		{"too large", short, Limits{Pixels: 1000}, TooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := prober(test.path, test.limits)
			if got := ReasonOf(err); got != test.want || err.Error() == "" {
				t.Errorf("got %q (%v), want %q; media %+v", got, err, test.want, m)
			}
		})
	}
}

// coverOnly is sound with a picture of its record.
func coverOnly(t *testing.T, clip string) string {
	t.Helper()
	cover := cliptest.Make(t, "cover.jpg", "-i "+clip+" -frames:v 1")
	return cliptest.Make(t, "cover.mp4", "-f lavfi -i sine=d=1 -i "+cover+" -map 0 -map 1 -c:a aac -c:v copy -disposition:v:0 attached_pic")
}

func TestFileThatIsMissingIsNoRefusal(t *testing.T) {
	_, err := newProber(t)(filepath.Join(t.TempDir(), "none"), Limits{})
	if err == nil || ReasonOf(err) != "" {
		t.Errorf("got %v", err)
	}
}

func TestParseKnowsPartsOfAWhole(t *testing.T) {
	// As ffprobe tells of a trimmed phone recording: the edit list shows half.
	m, err := parse([]byte(`{"streams":[{"codec_type":"video","codec_name":"h264","width":64,"height":64,
		"avg_frame_rate":"30/1","duration":"5.0","nb_frames":"300","nb_read_packets":"152",
		"side_data_list":[{"rotation":-90}]}],"format":{"format_name":"mov,mp4,m4a","duration":"5.0"}}`), Limits{}.withDefaults())
	if err != nil || m.Video.Rotation != 90 || m.Duration != 5*time.Second {
		t.Errorf("got %+v, %v", m, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"streams":[{"codec_type":"video","codec_name":"h264","width":64,"height":64,"avg_frame_rate":"30/1","duration":"5.0","nb_read_packets":"150","sample_aspect_ratio":"4:3"}],"format":{"format_name":"mov,mp4"}}`))
	f.Add([]byte(`{"streams":[{"codec_type":"video","codec_name":"vp9","width":9,"height":9,"nb_read_packets":"9","tags":{"DURATION":"00:00:02.040000000"},"side_data_list":[{"rotation":90.5}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{}.withDefaults()
		m, err := parse(data, limits)
		if err != nil {
			return
		}
		width, height := m.Video.Size()
		if width <= 0 || height <= 0 || width*height > 4*limits.Pixels || m.Duration <= 0 || m.Duration > limits.Duration || m.Video.Frames < minFrames {
			t.Errorf("accepted %+v of %dx%d", m, width, height)
		}
	})
}
