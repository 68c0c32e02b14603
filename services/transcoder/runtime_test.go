package transcoder

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/process"
)

func newRuntime(t *testing.T, change func(*Config)) *Runtime {
	t.Helper()
	cfg := Config{Dir: t.TempDir()}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if left, _ := os.ReadDir(r.work()); len(left) != 0 {
			t.Errorf("temporary files left: %v", left)
		}
	})
	return r
}

var small = Ladder{Preset: "ultrafast", SegmentSeconds: 2, Rungs: []Rung{{Height: 180, MaxBandwidth: 400_000}, {Height: 90, MaxBandwidth: 100_000}}}

func TestTranscodePublishesAPresentationThatPlays(t *testing.T) {
	r := newRuntime(t, nil)
	source := cliptest.Make(t, "in.mp4", strings.ReplaceAll(cliptest.Short, "d=1", "d=3"))
	var told []uint32
	task := Task{ID: "a", Source: source, Ladder: small, Progress: func(ppm uint32) { told = append(told, ppm) }}
	out, err := r.Transcode(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Remove()
	if len(out.Tracks) != 3 || out.Tracks[0].Name != "180p" || out.Tracks[1].Height != 90 || out.CPU <= 0 {
		t.Errorf("got %+v", out)
	}
	media := t.TempDir()
	bucket, err := fileblob.OpenBucket(media, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	if err := out.Publish(t.Context(), Place{Bucket: bucket, Dir: media}, "main/v/a/"); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(told) || len(told) < 2 || told[len(told)-1] != publishedPPM {
		t.Errorf("progress %v", told)
	}
	master := filepath.Join(media, "main", "v", "a", "master.m3u8")
	answer, err := exec.Command("ffprobe", "-v", "error", "-allowed_extensions", "ALL", "-count_packets",
		"-show_entries", "stream=codec_name,width,nb_read_packets:format=start_time,duration", "-of", "compact", master).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	for _, want := range []string{"h264|width=320|nb_read_packets=90", "h264|width=160|nb_read_packets=90", "codec_name=aac", "duration=3.0"} {
		if !strings.Contains(string(answer), want) {
			t.Errorf("no %s in\n%s", want, answer)
		}
	}
	if n, err := (Place{Bucket: bucket}).Remove(t.Context(), "main/v/a/"); err != nil || n < 10 {
		t.Errorf("removed %d, %v", n, err)
	}
}

func TestTranscodeOddSources(t *testing.T) {
	r := newRuntime(t, nil)
	short := cliptest.Make(t, "short.mp4", cliptest.Short)
	late := cliptest.Make(t, "late.mkv", "-i "+short+" -itsoffset 0.4 -i "+short+" -map 0:a -map 1:v -c copy")
	for _, test := range []struct {
		name, path    string
		width, height int
		frames        int64
		tracks        int
	}{
		{"silent", cliptest.Make(t, "silent.mp4", cliptest.Silent), 320, 180, 25, 2},
		{"portrait by rotation", cliptest.Make(t, "rotated.mp4", "-i "+short+" -c copy -metadata:s:v rotate=90"), 180, 320, 30, 3},
		{"video starts late", late, 320, 180, 42, 3},
		{"uneven frame rate, 5.1 sound", cliptest.Make(t, "uneven.mkv", "-i "+short+" -vf select='not(mod(n\\,3))+lt(n\\,10)' -vsync vfr -c:v libx264 -preset ultrafast -ac 6 -c:a ac3"), 320, 180, 0, 3},
		{"odd size", cliptest.Make(t, "odd.avi", "-f lavfi -i testsrc=s=321x181:d=1 -c:v mpeg4"), 320, 180, 25, 2},
		{"sound outlasts pictures", cliptest.Make(t, "sound.flv", "-f lavfi -i testsrc=s=320x180:d=1 -f lavfi -i sine=d=3 -c:v flv -c:a aac"), 320, 180, 25, 3},
		{"interlaced", cliptest.Make(t, "field.ts", "-f lavfi -i testsrc=s=320x180:r=50:d=1 -vf tinterlace=4 -flags +ilme+ildct -c:v mpeg2video -field_order tt"), 320, 180, 25, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := r.Transcode(t.Context(), Task{ID: "odd", Source: test.path, Ladder: small})
			if err != nil {
				t.Fatal(err)
			}
			defer out.Remove()
			top := out.Tracks[0]
			if top.Width != test.width || top.Height != test.height || len(out.Tracks) != test.tracks {
				t.Errorf("got %d tracks, %dx%d", len(out.Tracks), top.Width, top.Height)
			}
			if test.frames != 0 && (top.Frames-test.frames)*(top.Frames-test.frames) > 1 {
				t.Errorf("%d frames, want %d", top.Frames, test.frames)
			}
		})
	}
}

func TestTranscodeRefusesAndLeavesNothing(t *testing.T) {
	r := newRuntime(t, nil)
	text := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(text, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Transcode(t.Context(), Task{ID: "x", Source: text})
	if v := Judge(err); v.Reason != "not_a_video" || v.Retry || v.Problem == "" {
		t.Errorf("got %+v of %v", v, err)
	}
	for _, id := range []string{"", "../x", "a/b", ".."} {
		if _, err := r.Transcode(t.Context(), Task{ID: id, Source: text}); err == nil {
			t.Errorf("accepted id %q", id)
		}
	}
}

func TestCancelStopsFFmpegAndLeavesNothing(t *testing.T) {
	ffmpeg, err := process.Find("ffmpeg", "")
	if err != nil {
		t.Fatal(err)
	}
	// It reads its input no faster than it plays.
	r := newRuntime(t, func(c *Config) { c.FFmpeg = script(t, "exec "+ffmpeg+` -re "$@"`) })
	source := cliptest.Make(t, "long.mp4", strings.ReplaceAll(cliptest.Silent, "d=1", "d=10"))
	for _, cause := range []error{ErrCancelled, ErrShutdown} {
		ctx, cancel := context.WithCancelCause(t.Context())
		task := Task{ID: "long", Source: source, Ladder: small}
		task.Progress = func(uint32) { cancel(cause) }
		_, err := r.Transcode(ctx, task)
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
		cancel(nil)
		if children, _ := os.ReadDir(filepath.Join(r.cfg.Dir, "children")); len(children) != 0 {
			t.Errorf("children on record: %v", children)
		}
	}
}

func TestStoppedFFmpegIsAStall(t *testing.T) {
	r := newRuntime(t, func(c *Config) { c.FFmpeg, c.Stall = stopped(t), 200*time.Millisecond })
	source := cliptest.Make(t, "in.mp4", cliptest.Silent)
	_, err := r.Transcode(t.Context(), Task{ID: "stop", Source: source, Ladder: small})
	if v := Judge(err); v.Reason != "stalled" || !v.Retry {
		t.Errorf("got %+v of %v", v, err)
	}
}

// stopped is an FFmpeg that stops as SIGSTOP does.
func stopped(t *testing.T) string { return script(t, "kill -STOP $$") }

func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExitCodeZeroIsNoProof lets FFmpeg succeed on a part of the source.
func TestExitCodeZeroIsNoProof(t *testing.T) {
	ffmpeg, err := process.Find("ffmpeg", "")
	if err != nil {
		t.Fatal(err)
	}
	source := cliptest.Make(t, "in.mp4", strings.ReplaceAll(cliptest.Short, "d=1", "d=3"))
	for name, body := range map[string]string{
		"nothing written": "exit 0",
		"cut short":       "exec " + ffmpeg + ` -t 2 "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t, func(c *Config) { c.FFmpeg = script(t, body) })
			_, err := r.Transcode(t.Context(), Task{ID: "a", Source: source, Ladder: small})
			if v := Judge(err); v.Reason != "incomplete" || v.Retry {
				t.Errorf("got %+v of %v", v, err)
			}
		})
	}
}

func TestJudgeNamesTheFault(t *testing.T) {
	source := cliptest.Make(t, "in.mp4", cliptest.Silent)
	for _, test := range []struct {
		body, reason, problem string
		retry                 bool
	}{
		{"kill -SEGV $$", "crashed", "crash", false},
		{"kill -KILL $$", "killed", "interrupted", true},
		{"echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1", "disk_full", "disk", true},
		{"echo 'Unknown encoder libx264' >&2; exit 1", "failed", "Unknown encoder", false},
		{"echo 'Cannot open /etc/secret' >&2; exit 1", "failed", "FFmpeg reports an error", false},
	} {
		r := newRuntime(t, func(c *Config) { c.FFmpeg = script(t, test.body) })
		_, err := r.Transcode(t.Context(), Task{ID: "a", Source: source, Ladder: small})
		if v := Judge(err); v.Reason != test.reason || v.Retry != test.retry || !strings.Contains(v.Problem, test.problem) {
			t.Errorf("%s: got %+v of %v", test.body, v, err)
		}
	}
}

func TestMissingFFmpegSaysWhatToDo(t *testing.T) {
	r := newRuntime(t, func(c *Config) { c.FFmpeg = "/nonexistent/ffmpeg" })
	_, err := r.Transcode(t.Context(), Task{ID: "a", Source: "x"})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "--transcoder.ffmpeg") || !Judge(err).Retry {
		t.Errorf("got %v", err)
	}
	if r.Check() == nil {
		t.Error("check passes")
	}
}

func TestNewSweepsWhatAnEarlierRuntimeLeft(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "work", "job")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestMeterNeverFallsNorPassesItsPhase(t *testing.T) {
	var told []uint32
	m := newMeter(10*time.Second, func(ppm uint32) { told = append(told, ppm) })
	for _, at := range []time.Duration{time.Second, 5 * time.Second, 3 * time.Second, 400 * time.Second} {
		m.report(process.Progress{OutTime: at})
	}
	m.encoded()
	m.report(process.Progress{OutTime: time.Second})
	m.published(1, 2)
	m.published(2, 2)
	if want := []uint32{95_000, 475_000, encodedPPM - 1, encodedPPM, 974_999, publishedPPM}; !slices.Equal(told, want) {
		t.Errorf("got %v, want %v", told, want)
	}
}
