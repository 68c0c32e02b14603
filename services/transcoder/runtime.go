// Package transcoder makes a verified HLS presentation of a video file with
// FFmpeg, as a library. Service, uploads and stored jobs are below service and
// internal; this package needs neither a database nor a network.
//
//		runtime, err := transcoder.New(transcoder.Config{Dir: "/var/tmp/work"}, slog.Default())
//		defer runtime.Close()
//		output, err := runtime.Transcode(ctx, transcoder.Task{ID: "a", Source: "in.mp4"})
//		defer output.Remove()
//		err = output.Publish(ctx, bucket, "main/video/a/", nil)
//
//	  - runtime.go runs a task; failure.go says what an error means for the next
//	    attempt; meter.go turns FFmpeg's reports into progress.
//
// A Runtime may be used by several goroutines; it does not limit how many
// tasks run at once.
package transcoder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/encode"
	"github.com/backlot-video/backlot/services/transcoder/internal/hls"
	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/probe"
	"github.com/backlot-video/backlot/services/transcoder/internal/process"
	"github.com/backlot-video/backlot/services/transcoder/internal/publish"
)

// Names from the packages below, for use outside this module.
type (
	// Ladder says which renditions to make.
	Ladder = ladder.Config
	// Rung is one rendition of a ladder.
	Rung = ladder.Rung
	// Media is what a source file is.
	Media = probe.Media
	// Limits bound which sources are accepted.
	Limits = probe.Limits
	// Track is one rendition made, or the sound.
	Track = hls.Track
	// Place is a bucket for presentations.
	Place = publish.Place
	// RefusalError is the verdict that a source cannot be transcoded.
	RefusalError = probe.RefusalError
)

// Causes for the cancel function of a task's context.
var (
	ErrCancelled = process.ErrCancelled
	ErrShutdown  = process.ErrShutdown
	// ErrMissing is FFmpeg or ffprobe not installed.
	ErrMissing = process.ErrMissing
	// ErrIncomplete is output that is not as long as its source.
	ErrIncomplete = hls.ErrIncomplete
)

// Config of a Runtime. Zero fields mean the defaults named at each.
type Config struct {
	Dir     string // for temporary files and process records; must be set
	FFmpeg  string // executable; "ffmpeg" in PATH
	FFprobe string // executable; "ffprobe" in PATH
	Limits  Limits
	// Stall is how long FFmpeg may make no progress: 1 min.
	Stall time.Duration
	// SlowestSpeed bounds a run's time: 5 min and the source's duration divided
	// by it. 0.02: a minute of video may take 50 minutes.
	SlowestSpeed float64
	// Nice is the priority that FFmpeg gives up, 0 to 19.
	Nice int
}

const deadlineBase = 5 * time.Minute

// Runtime runs tasks.
type Runtime struct {
	cfg        Config
	log        *slog.Logger
	supervisor *process.Supervisor
}

// New makes a runtime in cfg.Dir, which must be its alone: FFmpeg processes
// and temporary files that an earlier runtime left there are removed.
// FFmpeg need not be installed yet; see Check.
func New(cfg Config, log *slog.Logger) (*Runtime, error) {
	if cfg.Dir == "" {
		return nil, errors.New("transcoder: no folder given")
	}
	if cfg.Stall == 0 {
		cfg.Stall = time.Minute
	}
	if cfg.SlowestSpeed <= 0 {
		cfg.SlowestSpeed = 0.02
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	supervisor, err := process.New(filepath.Join(dir, "children"), log)
	if err != nil {
		return nil, err
	}
	r := &Runtime{cfg: cfg, log: log, supervisor: supervisor}
	if err := errors.Join(os.RemoveAll(r.work()), os.MkdirAll(r.work(), 0o700)); err != nil {
		supervisor.Close()
		return nil, fmt.Errorf("empty folder for temporary files: %w", err)
	}
	return r, nil
}

func (r *Runtime) work() string { return filepath.Join(r.cfg.Dir, "work") }

// Close frees what the runtime holds, after the last task has ended.
func (r *Runtime) Close() { r.supervisor.Close() }

// Check returns nil if the tools are installed, else an error that says what
// to install and which flag points to it.
func (r *Runtime) Check() error {
	_, _, err := r.tools()
	return err
}

func (r *Runtime) tools() (ffmpeg, ffprobe string, err error) {
	ffmpeg, err1 := process.Find("ffmpeg", r.cfg.FFmpeg)
	ffprobe, err2 := process.Find("ffprobe", r.cfg.FFprobe)
	return ffmpeg, ffprobe, errors.Join(err1, err2)
}

// Task is one source to transcode.
type Task struct {
	ID     string // of its temporary folder: letters, digits, '-', '_'
	Source string // path
	Ladder Ladder // zero: the default ladder

	// Probed is called when the source is known and FFmpeg starts, Encoded when
	// FFmpeg is done, Progress with parts per million that never fall. An error
	// ends the task. Each may be nil; none is called after Transcode returned.
	Probed   func(Media) error
	Encoded  func() error
	Progress func(ppm uint32)
}

// Output is a verified presentation in a temporary folder.
type Output struct {
	Dir    string
	Source Media
	Tracks []Track       // renditions, largest first, then the sound
	CPU    time.Duration // that FFmpeg used
	meter  *meter
}

// Transcode makes the presentation of a task's source. The caller removes the
// output; after an error nothing is left. ctx's cause ErrCancelled or
// ErrShutdown becomes part of the error; Judge tells what an error means.
func (r *Runtime) Transcode(ctx context.Context, t Task) (_ *Output, err error) {
	if t.ID == "" || filepath.Base(t.ID) != t.ID || t.ID == "." || t.ID == ".." {
		return nil, fmt.Errorf("task id %q is no file name", t.ID)
	}
	ffmpeg, ffprobe, err := r.tools()
	if err != nil {
		return nil, err
	}
	source, err := filepath.Abs(t.Source)
	if err != nil {
		return nil, err
	}
	media, err := probe.File(ctx, r.supervisor, ffprobe, source, r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	plan, err := planFor(t.Ladder, media)
	if err != nil {
		return nil, err
	}
	if t.Probed != nil {
		if err := t.Probed(media); err != nil {
			return nil, err
		}
	}
	out := &Output{Dir: filepath.Join(r.work(), t.ID), Source: media, meter: newMeter(media.Duration, t.Progress)}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Remove())
		}
	}()
	if err := r.encode(ctx, ffmpeg, source, plan, out); err != nil {
		return nil, err
	}
	if t.Encoded != nil {
		if err := t.Encoded(); err != nil {
			return nil, err
		}
	}
	return out, out.pack(plan)
}

func planFor(l Ladder, m Media) (ladder.Plan, error) {
	width, height := m.Video.Size()
	return ladder.Make(l, ladder.Source{Width: width, Height: height, RateNum: m.Video.FrameRate.Num, RateDen: m.Video.FrameRate.Den})
}

// encode runs FFmpeg in a new folder.
func (r *Runtime) encode(ctx context.Context, ffmpeg, source string, plan ladder.Plan, out *Output) error {
	streams := len(plan.Renditions)
	if out.Source.Audio != nil {
		streams++
	}
	for i := range streams {
		if err := os.MkdirAll(filepath.Join(out.Dir, strconv.Itoa(i)), 0o700); err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
	}
	limit := deadlineBase + time.Duration(float64(out.Source.Duration)/r.cfg.SlowestSpeed)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := r.supervisor.Run(ctx, process.Command{
		Path: ffmpeg, Dir: out.Dir, Args: encode.Args(source, out.Source, plan),
		Progress: out.meter.report, Stall: r.cfg.Stall, Nice: r.cfg.Nice,
	})
	out.CPU = result.CPU
	if err != nil {
		return fmt.Errorf("transcode: %w", err)
	}
	out.meter.encoded()
	return nil
}

// pack names the folders, verifies them and writes the playlists.
func (o *Output) pack(plan ladder.Plan) error {
	names := make([]string, 0, len(plan.Renditions)+1)
	for _, rendition := range plan.Renditions {
		names = append(names, rendition.Name)
	}
	if o.Source.Audio != nil {
		names = append(names, hls.SoundName)
	}
	for i, name := range names {
		if err := os.Rename(filepath.Join(o.Dir, strconv.Itoa(i)), filepath.Join(o.Dir, name)); err != nil {
			return fmt.Errorf("name rendition: %w", err)
		}
	}
	var err error
	o.Tracks, err = hls.Package(o.Dir, names, float64(plan.RateNum)/float64(plan.RateDen), encode.Promise(o.Source, plan))
	return err
}

// Publish writes the presentation into place under prefix, which ends with a
// slash, the multivariant playlist master.m3u8 last, and makes it durable.
// After an error or a crash, place.Remove takes away what is there.
func (o *Output) Publish(ctx context.Context, place Place, prefix string) error {
	return place.Folder(ctx, o.Dir, prefix, o.meter.published)
}

// Remove deletes the temporary folder.
func (o *Output) Remove() error { return os.RemoveAll(o.Dir) }
