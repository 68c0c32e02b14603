package ingest_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/storefront/internal/ingest"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

func envelope(t *testing.T, id, kind string, fact proto.Message) *eventv1.Envelope {
	t.Helper()
	e, err := mq.NewEnvelope("main", kind, "video", fact)
	if err != nil {
		t.Fatal(err)
	}
	e.Id = id
	return e
}

func TestFactsMoveAVideoOnce(t *testing.T) {
	migrations, err := databasetest.With("storefront", "")
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(databasetest.Open(t, databasetest.Config(t, database.SQLite, "storefront"), migrations))
	now := time.Now()
	err = s.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.InsertAccount(ctx, store.Account{ID: "c", TenantID: "main", Role: 2, CreatedAt: now}); err != nil {
			return err
		}
		_, err := tx.InsertVideo(ctx, video.Video{ID: "video", TenantID: "main", CreatorID: "c", Title: "T", State: video.Draft, CreatedAt: now})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	in := &ingest.Ingest{Store: s, Once: mq.Once, Clock: func() time.Time { return now }}
	job := &transcoderv1alpha1.Job{
		VideoId: "video", OutputPrefix: "main/video/j/", Problem: "no video stream",
		Source: &transcoderv1alpha1.Media{Duration: 2_000_000, Width: 640, Height: 360},
	}
	uploaded := envelope(t, "0190a000-0000-7000-8000-000000000001", ingest.UploadFinished, &transcoderv1alpha1.UploadFinished{Upload: &transcoderv1alpha1.Upload{VideoId: "video"}})
	failed := envelope(t, "0190a000-0000-7000-8000-000000000002", ingest.JobFailed, &transcoderv1alpha1.JobFailed{Job: job})
	succeeded := envelope(t, "0190a000-0000-7000-8000-000000000003", ingest.JobSucceeded, &transcoderv1alpha1.JobSucceeded{Job: job})
	for _, step := range []struct {
		fact    *eventv1.Envelope
		state   video.State
		problem string
	}{
		{uploaded, video.Processing, ""},
		{failed, video.Draft, "no video stream"},
		{uploaded, video.Draft, "no video stream"}, // told again: nothing
		{succeeded, video.Ready, ""},
		{failed, video.Ready, ""}, // told again: nothing
	} {
		if err := in.Handle(t.Context(), step.fact); err != nil {
			t.Fatal(err)
		}
		v, err := s.Video(t.Context(), "main", "video")
		if err != nil || v.State != step.state || v.Problem != step.problem {
			t.Fatalf("after %s: %+v, %v", step.fact.GetType(), v, err)
		}
	}
	if v, err := s.Video(t.Context(), "main", "video"); err != nil || v.MediaPrefix != "main/video/j/" || v.Duration != 2*time.Second {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAFactOfAnUnknownTypeIsAnError(t *testing.T) {
	in := &ingest.Ingest{}
	if err := in.Handle(t.Context(), envelope(t, "x", "backlot.transcoder.other.v1", &eventv1.Envelope{})); err == nil {
		t.Error("it was taken")
	}
}
