package worker

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/transcoder"
	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/eventually"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	schema "github.com/backlot-video/backlot/sql"
)

// folder holds sources in a folder.
type folder string

func (f folder) Path(id string) string  { return filepath.Join(string(f), id) }
func (f folder) Remove(id string) error { return os.RemoveAll(f.Path(id)) }

// bench is a worker over a real FFmpeg, SQLite and a bucket in memory.
type bench struct {
	*Worker
	t      *testing.T
	store  *store.Store
	files  folder
	bucket *blob.Bucket

	mu    sync.Mutex
	facts []string
}

func newBench(t *testing.T, workers int, change func(*transcoder.Config)) *bench {
	t.Helper()
	b := &bench{t: t, files: folder(t.TempDir()), bucket: memblob.OpenBucket(nil)}
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "transcoder"), schema.Migrations("transcoder"))
	b.store = store.New(db, store.Config{Node: "n", Clock: time.Now, MaxQueued: 100, MaxOpen: 100, AddFact: b.tell})
	cfg := transcoder.Config{Dir: t.TempDir()}
	if change != nil {
		change(&cfg)
	}
	runtime, err := transcoder.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runtime.Close)
	b.Worker, err = New(runtime, b.store, b.files, Config{
		Workers: workers, Place: transcoder.Place{Bucket: b.bucket}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Ladder: func() transcoder.Ladder {
			return transcoder.Ladder{Preset: "ultrafast", Rungs: []transcoder.Rung{{Height: 90, MaxBandwidth: 200_000}}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) tell(_ context.Context, _ *sql.Tx, fact *eventv1.Envelope) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := strings.TrimSuffix(strings.TrimPrefix(fact.GetType(), "backlot.transcoder."), ".v1")
	if name != "upload_finished" {
		b.facts = append(b.facts, name)
	}
	return nil
}

func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.facts, " ")
}

// run lets the worker work until the test or the returned function ends it.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	b.t.Cleanup(stop)
	return stop
}

// queue makes a queued job of the file at path.
func (b *bench) queue(id, path string) job.Job {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.files.Path(id), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	u, err := upload.New(id, "main", "c", map[string]string{upload.MetaVideo: "v", upload.MetaFilename: "f"}, 1, 1, time.Now())
	if err == nil {
		err = b.store.CreateUpload(b.t.Context(), u)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	j, err := b.store.FinishUpload(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Wake()
	return j
}

// await returns the job once condition holds.
func (b *bench) await(id, what string, condition func(j job.Job) bool) job.Job {
	b.t.Helper()
	var j job.Job
	eventually.True(b.t, "job is "+what, func() bool {
		var err error
		if j, err = b.store.Job(b.t.Context(), id); err != nil {
			b.t.Fatal(err)
		}
		return condition(b.Live(j))
	})
	return j
}

func (b *bench) awaitState(id string, state job.State) job.Job {
	b.t.Helper()
	return b.await(id, state.String(), func(j job.Job) bool { return j.State == state })
}

// nothingLeft waits until only the wanted number of objects is left anywhere.
func (b *bench) nothingLeft(sources, objects int) {
	b.t.Helper()
	eventually.True(b.t, "only what is wanted is left", func() bool {
		files, err := os.ReadDir(string(b.files))
		if err != nil {
			b.t.Fatal(err)
		}
		return len(files) == sources && len(b.objects()) == objects && b.busy() == 0
	})
}

func (b *bench) objects() []string {
	b.t.Helper()
	var keys []string
	for objects := b.bucket.List(nil); ; {
		object, err := objects.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
}

// slow makes FFmpeg read its input no faster than it plays.
func slow(t *testing.T) func(*transcoder.Config) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\nexec "+ffmpeg+" -re \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func(c *transcoder.Config) { c.FFmpeg = tool }
}

// long plays for 10 s.
func long(t *testing.T) string {
	return cliptest.Make(t, "long.mp4", strings.ReplaceAll(cliptest.Silent, "d=1", "d=10"))
}

func TestJobsSucceedAndLeaveOnlyTheirOutput(t *testing.T) {
	b := newBench(t, 2, nil)
	b.run()
	clip := cliptest.Make(t, "in.mp4", cliptest.Short)
	var jobs []job.Job
	for _, id := range []string{"u1", "u2", "u3"} {
		jobs = append(jobs, b.queue(id, clip))
	}
	for _, j := range jobs {
		j = b.awaitState(j.ID, job.Succeeded)
		if j.Attempt != 1 || len(j.Renditions) != 1 || j.Renditions[0].Name != "90p" || j.Source.AudioCodec != "aac" {
			t.Errorf("got %+v", j)
		}
		if there, err := b.bucket.Exists(t.Context(), j.OutputPrefix+"master.m3u8"); err != nil || !there {
			t.Errorf("no master of %s: %v", j.ID, err)
		}
	}
	// Each: master, two playlists, two inits, a segment each.
	b.nothingLeft(0, 3*7)
	if left, err := b.store.Unclean(t.Context(), "", 10); err != nil || len(left) != 0 {
		t.Errorf("unclean %+v, %v", left, err)
	}
}

func TestRefusedFileFailsForGood(t *testing.T) {
	b := newBench(t, 1, nil)
	b.run()
	text := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(text, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := b.awaitState(b.queue("u", text).ID, job.Failed)
	if j.Attempt != 1 || !strings.Contains(j.Problem, "not a video") {
		t.Errorf("got %+v", j)
	}
	u, err := b.store.Upload(t.Context(), "u")
	if err != nil || u.State != upload.Discarded || u.Problem != j.Problem {
		t.Errorf("got %+v, %v", u, err)
	}
	b.nothingLeft(0, 0)
	if b.told() != "job_started job_failed" {
		t.Errorf("told %s", b.told())
	}
}

func TestPassingFaultIsTriedAgainLater(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\nkill -KILL $$\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, 1, func(c *transcoder.Config) { c.FFmpeg = tool })
	b.run()
	id := b.queue("u", cliptest.Make(t, "in.mp4", cliptest.Silent)).ID
	j := b.await(id, "queued again", func(j job.Job) bool { return j.State == job.Queued && j.Attempt == 1 })
	if !j.Due.After(time.Now().Add(time.Second)) || j.Problem == "" {
		t.Errorf("got %+v", j)
	}
	b.nothingLeft(1, 0)
}

func TestCancelStopsARunningJob(t *testing.T) {
	b := newBench(t, 1, slow(t))
	b.run()
	id := b.queue("u", long(t)).ID
	changed, stop := b.Watch(id)
	defer stop()
	b.await(id, "under way", func(j job.Job) bool { return j.State == job.Transcoding && j.Progress > 0 })
	select {
	case <-changed:
	default:
		t.Error("a watcher was not told")
	}
	j, err := b.store.ChangeJob(t.Context(), id, func(j *job.Job) error { return j.Cancel(time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	b.Cancelled(t.Context(), j)
	b.nothingLeft(0, 0)
	if b.awaitState(id, job.Cancelled); b.told() != "job_started job_failed" {
		t.Errorf("told %s", b.told())
	}
}

func TestCancelOfAQueuedJobDeletesItsSource(t *testing.T) {
	b := newBench(t, 1, nil)
	id := b.queue("u", cliptest.Make(t, "in.mp4", cliptest.Silent)).ID
	j, err := b.store.ChangeJob(t.Context(), id, func(j *job.Job) error { return j.Cancel(time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	b.Cancelled(t.Context(), j)
	b.nothingLeft(0, 0)
}

func TestCancelOnAnotherNodeIsNoticed(t *testing.T) {
	b := newBench(t, 1, slow(t))
	b.run()
	id := b.queue("u", long(t)).ID
	b.await(id, "under way", func(j job.Job) bool { return j.State == job.Transcoding && j.Progress > 0 })
	if _, err := b.store.ChangeJob(t.Context(), id, func(j *job.Job) error { return j.Cancel(time.Now()) }); err != nil {
		t.Fatal(err)
	}
	b.nothingLeft(0, 0)
}

func TestStopPutsTheJobBack(t *testing.T) {
	b := newBench(t, 1, slow(t))
	stop := b.run()
	id := b.queue("u", long(t)).ID
	b.await(id, "under way", func(j job.Job) bool { return j.State == job.Transcoding && j.Progress > 0 })
	stop()
	if j := b.awaitState(id, job.Queued); j.Attempt != 0 {
		t.Errorf("got %+v", j)
	}
	b.nothingLeft(1, 0)
}

func TestRecoverContinuesAfterADeath(t *testing.T) {
	b := newBench(t, 1, nil)
	clip := cliptest.Make(t, "in.mp4", cliptest.Silent)
	steps := []func(j *job.Job) error{
		func(j *job.Job) error { return j.Start(time.Now()) },
		func(j *job.Job) error { return j.Probed(job.Media{}, time.Now()) },
		func(j *job.Job) error { return j.Encoded(time.Now()) },
		func(j *job.Job) error { return j.Succeed(nil, time.Now()) },
	}
	var jobs []job.Job
	for died := range len(steps) + 1 {
		id := string(rune('a' + died))
		j := b.queue(id, clip)
		for _, step := range steps[:died] {
			if _, err := b.store.ChangeJob(t.Context(), j.ID, step); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.bucket.WriteAll(t.Context(), j.OutputPrefix+"half", nil, nil); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	if err := b.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	succeeded := jobs[len(steps)]
	if keys := b.objects(); len(keys) != 1 || keys[0] != succeeded.OutputPrefix+"half" {
		t.Errorf("objects %v: only the output of a job that succeeded stays", keys)
	}
	b.run()
	for _, j := range jobs {
		b.awaitState(j.ID, job.Succeeded)
	}
	b.nothingLeft(0, 1+len(steps)*4)
}

func TestWithoutFFmpegJobsWait(t *testing.T) {
	b := newBench(t, 1, func(c *transcoder.Config) { c.FFmpeg = "/nonexistent" })
	id := b.queue("u", cliptest.Make(t, "in.mp4", cliptest.Silent)).ID
	if err := b.dispatch(t.Context()); !errors.Is(err, transcoder.ErrMissing) {
		t.Errorf("got %v", err)
	}
	if j, err := b.store.Job(t.Context(), id); err != nil || j.State != job.Queued {
		t.Errorf("got %+v, %v", j, err)
	}
}
