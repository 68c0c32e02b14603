package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

// facts are the facts told, in memory.
type facts struct {
	mu  sync.Mutex
	all []*eventv1.Envelope
	err error
}

func (f *facts) add(_ context.Context, _ *sql.Tx, fact *eventv1.Envelope) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.all = append(f.all, fact)
	}
	return f.err
}

func (f *facts) types() string {
	var names []string
	for _, fact := range f.all {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(fact.GetType(), "backlot.transcoder."), ".v1"))
	}
	return strings.Join(names, " ")
}

var t0 = time.UnixMicro(1_700_000_000_000_000)

func each(t *testing.T, suite func(t *testing.T, s *store.Store, told *facts)) {
	databasetest.Each(t, "transcoder", func(t *testing.T, db *database.DB) {
		told := &facts{}
		suite(t, store.New(db, store.Config{
			Node: "n", AddFact: told.add, Clock: func() time.Time { return t0 }, MaxQueued: 2, MaxOpen: 2,
		}), told)
	})
}

func create(t *testing.T, s *store.Store, id string) upload.Upload {
	t.Helper()
	meta := map[string]string{upload.MetaVideo: "v-" + id, upload.MetaFilename: "f.mp4"}
	u, err := upload.New(id, "main", "c", meta, 10, 10, t0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

func finished(t *testing.T, s *store.Store, id string) job.Job {
	t.Helper()
	create(t, s, id)
	j, err := s.FinishUpload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func change(t *testing.T, s *store.Store, id string, fn func(j *job.Job) error) job.Job {
	t.Helper()
	j, err := s.ChangeJob(t.Context(), id, fn)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func start(j *job.Job) error { return j.Start(t0) }

func TestFinishedUploadMakesOneJobAndOneFact(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, told *facts) {
		first := finished(t, s, "u")
		second, err := s.FinishUpload(t.Context(), "u")
		if err != nil || second.ID != first.ID {
			t.Errorf("finished again: job %s, %v; want %s", second.ID, err, first.ID)
		}
		u, err := s.Upload(t.Context(), "u")
		if err != nil || u.State != upload.Finished || u.JobID != first.ID {
			t.Errorf("got %+v, %v", u, err)
		}
		if told.types() != "upload_finished" {
			t.Errorf("told %s", told.types())
		}
		message := new(transcoderv1.UploadFinished)
		if err := told.all[0].GetData().UnmarshalTo(message); err != nil || message.GetUpload().GetReceived() != 10 || told.all[0].GetKey() != "v-u" {
			t.Errorf("told %v, %v", told.all[0], err)
		}
		if _, err := s.FinishUpload(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDiscardedUploadDoesNotFinish(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, _ *facts) {
		create(t, s, "u")
		for range 2 {
			if err := s.DiscardUpload(t.Context(), "u", "expired"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.FinishUpload(t.Context(), "u"); !errors.Is(err, upload.ErrTransition) {
			t.Errorf("got %v", err)
		}
		finished(t, s, "done")
		if err := s.DiscardUpload(t.Context(), "done", "x"); !errors.Is(err, upload.ErrTransition) {
			t.Errorf("discarded a finished upload: %v", err)
		}
	})
}

func TestFactThatCannotBeToldUndoesTheChange(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, told *facts) {
		create(t, s, "u")
		told.err = errors.New("no")
		if _, err := s.FinishUpload(t.Context(), "u"); err == nil {
			t.Fatal("finished")
		}
		u, err := s.Upload(t.Context(), "u")
		jobs, err2 := s.Jobs(t.Context(), store.Filter{TenantID: "main"}, 10)
		if err != nil || err2 != nil || u.State != upload.Receiving || len(jobs) != 0 {
			t.Errorf("upload %+v, %d jobs, %v, %v", u, len(jobs), err, err2)
		}
	})
}

func TestAdmitPushesBack(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, _ *facts) {
		admit := func(creator string) error { return s.Admit(t.Context(), "main", creator) }
		create(t, s, "a")
		if err := admit("c"); err != nil {
			t.Errorf("one open: %v", err)
		}
		create(t, s, "b")
		if err := admit("c"); !errors.Is(err, store.ErrBusy) {
			t.Errorf("two open: %v", err)
		}
		if err := admit("other"); err != nil {
			t.Errorf("another creator: %v", err)
		}
		finished(t, s, "x")
		finished(t, s, "y")
		if err := admit("other"); !errors.Is(err, store.ErrBusy) {
			t.Errorf("two queued: %v", err)
		}
	})
}

func TestJobKeepsWhatItLearns(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, told *facts) {
		id := finished(t, s, "u").ID
		change(t, s, id, start)
		source := job.Media{Duration: 3 * time.Second, Width: 640, Height: 360, FrameRate: 29.97, VideoCodec: "h264", Frames: 90}
		change(t, s, id, func(j *job.Job) error { return j.Probed(source, t0) })
		j, err := s.Job(t.Context(), id)
		if err != nil || *j.Source != source || j.State != job.Transcoding || j.Attempt != 1 {
			t.Fatalf("got %+v, %v", j, err)
		}
		j.Advance(400_000, t0)
		if err := s.SaveProgress(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		change(t, s, id, func(j *job.Job) error { return j.Encoded(t0) })
		if err := s.SaveProgress(t.Context(), j); !errors.Is(err, job.ErrTransition) {
			t.Errorf("progress of a former state: %v", err)
		}
		made := []job.Rendition{{Name: "360p", Width: 640, Height: 360, Peak: 2, Average: 1}}
		change(t, s, id, func(j *job.Job) error { return j.Succeed(made, t0) })
		j, err = s.Job(t.Context(), id)
		if err != nil || j.State != job.Succeeded || j.Progress != job.Whole || len(j.Renditions) != 1 || j.Renditions[0] != made[0] || *j.Source != source {
			t.Errorf("got %+v, %v", j, err)
		}
		if told.types() != "upload_finished job_started job_succeeded" {
			t.Errorf("told %s", told.types())
		}
	})
}

func TestFailedJobDiscardsItsUpload(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, told *facts) {
		id := finished(t, s, "u").ID
		change(t, s, id, start)
		change(t, s, id, func(j *job.Job) error { return j.Fail("not a video", false, t0) })
		u, err := s.Upload(t.Context(), "u")
		if err != nil || u.State != upload.Discarded || u.Problem != "not a video" {
			t.Errorf("got %+v, %v", u, err)
		}
		if told.types() != "upload_finished job_started job_failed" {
			t.Errorf("told %s", told.types())
		}
		if _, err := s.ChangeJob(t.Context(), id, start); !errors.Is(err, job.ErrTransition) {
			t.Errorf("started a failed job: %v", err)
		}
	})
}

func TestDueSkipsOtherNodesAndLaterJobs(t *testing.T) {
	databasetest.Each(t, "transcoder", func(t *testing.T, db *database.DB) {
		told := &facts{}
		on := func(node string) *store.Store {
			return store.New(db, store.Config{Node: node, AddFact: told.add, Clock: func() time.Time { return t0 }})
		}
		here, there := on("here"), on("there")
		first := finished(t, here, "u1").ID
		finished(t, there, "u2")
		retried := finished(t, here, "u3").ID
		change(t, here, retried, start)
		change(t, here, retried, func(j *job.Job) error { return j.Fail("again", true, t0) })
		for wait, want := range map[time.Duration]string{0: first, time.Hour: first + " " + retried} {
			ids, err := here.Due(t.Context(), t0.Add(wait), 10)
			if got := strings.Join(ids, " "); err != nil || got != want {
				t.Errorf("after %s: got %s, %v; want %s", wait, got, err, want)
			}
		}
	})
}

func TestUncleanIsEverythingUntilMarked(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, _ *facts) {
		a, b := finished(t, s, "a").ID, finished(t, s, "b").ID
		if err := s.MarkClean(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		left, err := s.Unclean(t.Context(), "", 10)
		if err != nil || len(left) != 1 || left[0].ID != b {
			t.Errorf("got %+v, %v", left, err)
		}
		if left, err := s.Unclean(t.Context(), b, 10); err != nil || len(left) != 0 {
			t.Errorf("next page: %+v, %v", left, err)
		}
	})
}

func TestJobsAreListedNewestFirstInPages(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, _ *facts) {
		var ids []string
		for i := range 5 {
			ids = append(ids, finished(t, s, fmt.Sprintf("u%d", i)).ID)
		}
		filter, got := store.Filter{TenantID: "main", CreatorID: "c"}, 0
		for {
			page, err := s.Jobs(t.Context(), filter, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, j := range page {
				got++
				if want := ids[len(ids)-got]; j.ID != want {
					t.Errorf("got %s, want %s", j.ID, want)
				}
				filter.Before = j.ID
			}
		}
		if got != 5 {
			t.Errorf("%d jobs", got)
		}
		for _, f := range []store.Filter{{TenantID: "other"}, {TenantID: "main", CreatorID: "x"}, {TenantID: "main", VideoID: "x"}} {
			if page, err := s.Jobs(t.Context(), f, 10); err != nil || len(page) != 0 {
				t.Errorf("%+v: %d jobs, %v", f, len(page), err)
			}
		}
		if page, err := s.Jobs(t.Context(), store.Filter{TenantID: "main", VideoID: "v-u3"}, 10); err != nil || len(page) != 1 {
			t.Errorf("by video: %d jobs, %v", len(page), err)
		}
	})
}
