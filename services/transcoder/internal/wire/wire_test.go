package wire

import (
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

func TestStatesHaveTheNumbersOfTheContract(t *testing.T) {
	for state, want := range map[job.State]transcoderv1.JobState{
		job.Queued: transcoderv1.JobState_JOB_STATE_QUEUED, job.Probing: transcoderv1.JobState_JOB_STATE_PROBING,
		job.Transcoding: transcoderv1.JobState_JOB_STATE_TRANSCODING, job.Packaging: transcoderv1.JobState_JOB_STATE_PACKAGING,
		job.Succeeded: transcoderv1.JobState_JOB_STATE_SUCCEEDED, job.Failed: transcoderv1.JobState_JOB_STATE_FAILED,
		job.Cancelled: transcoderv1.JobState_JOB_STATE_CANCELLED,
	} {
		if got := Job(job.Job{State: state}).GetState(); got != want {
			t.Errorf("%s: got %s", state, got)
		}
	}
	for state, want := range map[upload.State]transcoderv1.UploadState{
		upload.Receiving: transcoderv1.UploadState_UPLOAD_STATE_RECEIVING, upload.Finished: transcoderv1.UploadState_UPLOAD_STATE_FINISHED,
		upload.Discarded: transcoderv1.UploadState_UPLOAD_STATE_DISCARDED,
	} {
		if got := Upload(upload.Upload{State: state}, 0).GetState(); got != want {
			t.Errorf("%s: got %s", state, got)
		}
	}
}

func TestMediaRenditionsAndLadderComeBack(t *testing.T) {
	m := &job.Media{Duration: time.Second, Width: 2, Height: 4, FrameRate: 23.976, VideoCodec: "h264", AudioCodec: "aac", Frames: 9}
	if got := DomainMedia(Media(m)); *got != *m {
		t.Errorf("got %+v", got)
	}
	if Media(nil) != nil || DomainMedia(nil) != nil {
		t.Error("something of nothing")
	}
	made := []job.Rendition{{Name: "a", Width: 2, Height: 4, Peak: 8, Average: 7}}
	if got := DomainRenditions(Renditions(made)); !reflect.DeepEqual(got, made) {
		t.Errorf("got %+v", got)
	}
	l := ladder.Config{Preset: "fast", SegmentSeconds: 4, Rungs: []ladder.Rung{{Height: 240, MaxBandwidth: 400_000, CRF: 21}}}
	if got := DomainLadder(Ladder(l)); !reflect.DeepEqual(got, l) {
		t.Errorf("got %+v", got)
	}
	if got := DomainLadder(nil); !reflect.DeepEqual(got, ladder.Config{}) {
		t.Errorf("got %+v", got)
	}
}

func TestNumbersAreClamped(t *testing.T) {
	got := Renditions([]job.Rendition{{Width: -1, Peak: math.MaxInt64}})[0]
	if want := (&transcoderv1.Rendition{PeakBandwidth: math.MaxUint32}); !proto.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
