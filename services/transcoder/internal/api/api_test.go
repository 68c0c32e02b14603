package api

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
	schema "github.com/backlot-video/backlot/sql"
)

// running is a worker at which every running job has progress 7.
type running struct {
	changed   chan struct{}
	cancelled []string
}

func (r *running) Live(j job.Job) job.Job {
	j.Advance(7, j.Updated)
	return j
}
func (r *running) Watch(string) (<-chan struct{}, func()) { return r.changed, func() {} }
func (r *running) Cancelled(_ context.Context, j job.Job) { r.cancelled = append(r.cancelled, j.ID) }

type bench struct {
	*Server
	t      *testing.T
	store  *store.Store
	worker *running
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "transcoder"), schema.Migrations("transcoder"))
	b := &bench{t: t, worker: &running{changed: make(chan struct{}, 1)}}
	b.store = store.New(db, store.Config{
		Node: "n", Clock: time.Now, MaxQueued: 100, MaxOpen: 100,
		AddFact: func(context.Context, *sql.Tx, *eventv1.Envelope) error { return nil },
	})
	b.Server = New(b.store, b.worker, func(upload.Upload) int64 { return 3 }, time.Now)
	return b
}

func as(kind identity.Kind, id, tenant string) context.Context {
	return identity.With(context.Background(), identity.Principal{Kind: kind, ID: id, TenantID: tenant})
}

var (
	owner    = as(identity.Creator, "c", "main")
	other    = as(identity.Creator, "d", "main")
	operator = as(identity.Operator, "o", "main")
	abroad   = as(identity.Operator, "o", "elsewhere")
)

func (b *bench) job(id string) job.Job {
	b.t.Helper()
	u, err := upload.New(id, "main", "c", map[string]string{upload.MetaVideo: "v", upload.MetaFilename: "f"}, 5, 5, time.Now())
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
	return j
}

func (b *bench) step(id string, change func(j *job.Job) error) {
	b.t.Helper()
	if _, err := b.store.ChangeJob(b.t.Context(), id, change); err != nil {
		b.t.Fatal(err)
	}
}

func TestOnlyThoseConcernedSeeAnything(t *testing.T) {
	b := newBench(t)
	id := b.job("u").ID
	for name, test := range map[string]struct {
		ctx  context.Context
		sees bool
	}{"owner": {owner, true}, "operator": {operator, true}, "another creator": {other, false}, "another tenant": {abroad, false}, "nobody": {context.Background(), false}} {
		_, err1 := b.GetUpload(test.ctx, &transcoderv1.GetUploadRequest{UploadId: "u"})
		_, err2 := b.GetJob(test.ctx, &transcoderv1.GetJobRequest{JobId: id})
		list, err3 := b.ListJobs(test.ctx, &transcoderv1.ListJobsRequest{})
		if err3 != nil || (len(list.GetJobs()) == 1) != test.sees {
			t.Errorf("%s lists %d, %v", name, len(list.GetJobs()), err3)
		}
		for _, err := range []error{err1, err2} {
			if test.sees != (err == nil) || !test.sees && connect.CodeOf(err) != connect.CodeNotFound {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if !test.sees {
			if _, err := b.CancelJob(test.ctx, &transcoderv1.CancelJobRequest{JobId: id}); connect.CodeOf(err) != connect.CodeNotFound {
				t.Errorf("%s cancels: %v", name, err)
			}
		}
	}
}

func TestGetUploadTellsWhatCame(t *testing.T) {
	b := newBench(t)
	j := b.job("u")
	response, err := b.GetUpload(owner, &transcoderv1.GetUploadRequest{UploadId: "u"})
	if u := response.GetUpload(); err != nil || u.GetReceived() != 3 || u.GetJobId() != j.ID || u.GetState() != transcoderv1.UploadState_UPLOAD_STATE_FINISHED {
		t.Errorf("got %v, %v", response, err)
	}
}

func TestListJobsPages(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.job(fmt.Sprintf("u%d", i))
	}
	first, err := b.ListJobs(owner, &transcoderv1.ListJobsRequest{PageSize: 2})
	if err != nil || len(first.GetJobs()) != 2 || first.GetNextPageToken() == "" {
		t.Fatalf("got %v, %v", first, err)
	}
	second, err := b.ListJobs(owner, &transcoderv1.ListJobsRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetJobs()) != 1 || second.GetNextPageToken() != "" {
		t.Errorf("got %v, %v", second, err)
	}
}

func TestCancelJobIsIdempotentUntilItEnded(t *testing.T) {
	b := newBench(t)
	id := b.job("u").ID
	for range 2 {
		response, err := b.CancelJob(owner, &transcoderv1.CancelJobRequest{JobId: id})
		if err != nil || response.GetJob().GetState() != transcoderv1.JobState_JOB_STATE_CANCELLED {
			t.Errorf("got %v, %v", response, err)
		}
	}
	if len(b.worker.cancelled) != 2 {
		t.Errorf("told the worker %v", b.worker.cancelled)
	}
	failed := b.job("v").ID
	b.step(failed, func(j *job.Job) error { return j.Start(time.Now()) })
	b.step(failed, func(j *job.Job) error { return j.Fail("x", false, time.Now()) })
	if _, err := b.CancelJob(owner, &transcoderv1.CancelJobRequest{JobId: failed}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
}

func TestWatchSendsChangesUntilTheEnd(t *testing.T) {
	b := newBench(t)
	id := b.job("u").ID
	steps := []func(j *job.Job) error{
		func(j *job.Job) error { return j.Start(time.Now()) },
		func(j *job.Job) error { return j.Probed(job.Media{}, time.Now()) },
		func(j *job.Job) error { return j.Fail("x", false, time.Now()) },
	}
	var got []string
	err := b.watch(owner, id, func(j job.Job) error {
		got = append(got, fmt.Sprintf("%s %d", j.State, j.Progress))
		if len(steps) > 0 {
			b.step(id, steps[0])
			steps = steps[1:]
			b.worker.changed <- struct{}{}
		}
		return nil
	})
	if want := "[queued 0 probing 7 transcoding 7 failed 0]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
}

func TestWatchEndsWithItsCaller(t *testing.T) {
	b := newBench(t)
	id := b.job("u").ID
	ctx, cancel := context.WithCancel(owner)
	err := b.watch(ctx, id, func(job.Job) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := b.watch(other, id, func(job.Job) error { return nil }); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("another creator: %v", err)
	}
}
