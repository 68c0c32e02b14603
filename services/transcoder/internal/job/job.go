// Package job is the life of one transcoding job as a state machine. It is
// pure: it reads no clock, keeps no store, and every change is a method that
// either applies or returns ErrTransition and changes nothing.
//
//	queued -> probing -> transcoding -> packaging -> succeeded
//	   ^         |            |             |
//	   +---------+-- again ---+-------------+----> failed
//	any of the first four ------------------------> cancelled
package job

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State is where a job is. Numbers are stored: never change them.
type State int

// The states.
const (
	Queued      State = 1
	Probing     State = 2
	Transcoding State = 3
	Packaging   State = 4
	Succeeded   State = 5
	Failed      State = 6
	Cancelled   State = 7
)

func (s State) String() string {
	names := [...]string{"", "queued", "probing", "transcoding", "packaging", "succeeded", "failed", "cancelled"}
	if s < Queued || s > Cancelled {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// Ended tells whether nothing can happen to the job any more.
func (s State) Ended() bool { return s >= Succeeded }

// Running tells whether a worker has the job.
func (s State) Running() bool { return s == Probing || s == Transcoding || s == Packaging }

// ErrTransition is a change that the job's state does not allow.
var ErrTransition = errors.New("job is not in a state for that")

// Whole is the progress of a job that succeeded, in parts per million.
const Whole = 1_000_000

const (
	// MaxAttempts is how often a job is tried that fails for a passing reason.
	MaxAttempts = 3
	// MaxStarts bounds the attempts of a job under which the process dies.
	MaxStarts = 50
	// retryDelay times the attempt is the wait before the next one.
	retryDelay = 5 * time.Second
)

// Job is one upload being turned into a presentation.
type Job struct {
	ID, TenantID, UploadID, VideoID, CreatorID string

	State      State
	Progress   uint32 // parts per million; never falls within an attempt
	Attempt    int    // 1 is the first; 0: not started yet
	Problem    string // why the last attempt failed, for people
	Source     *Media // nil until it is probed
	Renditions []Rendition
	// OutputPrefix is the bucket's folder of what it makes, with a final slash.
	OutputPrefix string
	Due          time.Time // a queued job does not start before it
	Created      time.Time
	Updated      time.Time
}

// Media is what the probe found.
type Media struct {
	Duration      time.Duration
	Width, Height int     // as shown
	FrameRate     float64 // Hz
	VideoCodec    string
	AudioCodec    string // empty: no sound
	Frames        int64
}

// Rendition is one size that was made.
type Rendition struct {
	Name          string
	Width, Height int
	Peak, Average int64 // measured, bits per second
}

// New returns a queued job whose presentation goes to tenant/video/id/.
func New(id, tenant, upload, video, creator string, now time.Time) Job {
	return Job{
		ID: id, TenantID: tenant, UploadID: upload, VideoID: video, CreatorID: creator,
		State: Queued, OutputPrefix: tenant + "/" + video + "/" + id + "/", Due: now, Created: now, Updated: now,
	}
}

func (j *Job) move(to State, now time.Time, from ...State) error {
	if !slices.Contains(from, j.State) {
		return fmt.Errorf("%w: %s to %s", ErrTransition, j.State, to)
	}
	j.State, j.Updated = to, now
	return nil
}

// Start begins the next attempt.
func (j *Job) Start(now time.Time) error {
	if err := j.move(Probing, now, Queued); err != nil {
		return err
	}
	j.Attempt++
	j.Progress, j.Problem, j.Source, j.Renditions = 0, "", nil, nil
	return nil
}

// Probed notes what the source is; FFmpeg runs next.
func (j *Job) Probed(source Media, now time.Time) error {
	if err := j.move(Transcoding, now, Probing); err != nil {
		return err
	}
	j.Source = &source
	return nil
}

// Encoded notes that FFmpeg is done; verifying and publishing come next.
func (j *Job) Encoded(now time.Time) error { return j.move(Packaging, now, Transcoding) }

// Advance raises the progress of a running job to ppm, which a job that has
// not succeeded never completes. It tells whether anything changed.
func (j *Job) Advance(ppm uint32, now time.Time) bool {
	ppm = min(ppm, Whole-1)
	if !j.State.Running() || ppm <= j.Progress {
		return false
	}
	j.Progress, j.Updated = ppm, now
	return true
}

// Succeed ends the job with what it made.
func (j *Job) Succeed(made []Rendition, now time.Time) error {
	if err := j.move(Succeeded, now, Packaging); err != nil {
		return err
	}
	j.Progress, j.Renditions = Whole, made
	return nil
}

// Fail ends the attempt. The job is queued again if another attempt may help
// and is left, else it has failed.
func (j *Job) Fail(problem string, retry bool, now time.Time) error {
	to := Failed
	if retry && j.Attempt < MaxAttempts {
		to = Queued
	}
	if err := j.move(to, now, Probing, Transcoding, Packaging); err != nil {
		return err
	}
	j.Problem = problem
	j.Due = now.Add(time.Duration(j.Attempt) * retryDelay)
	return nil
}

// Interrupted puts a job whose process died back into the queue, unless that
// has happened too often.
func (j *Job) Interrupted(now time.Time) error {
	to := Queued
	if j.Attempt >= MaxStarts {
		to = Failed
	}
	if err := j.move(to, now, Probing, Transcoding, Packaging); err != nil {
		return err
	}
	j.Problem, j.Due = "the transcoder died at this file", now
	return nil
}

// Release puts a job whose worker stopped back into the queue; the attempt
// does not count.
func (j *Job) Release(now time.Time) error {
	if err := j.move(Queued, now, Probing, Transcoding, Packaging); err != nil {
		return err
	}
	j.Attempt--
	return nil
}

// Cancel ends a job that has not ended. Cancelling a cancelled job changes
// nothing.
func (j *Job) Cancel(now time.Time) error {
	if j.State == Cancelled {
		return nil
	}
	if err := j.move(Cancelled, now, Queued, Probing, Transcoding, Packaging); err != nil {
		return err
	}
	j.Problem = "cancelled by request"
	return nil
}
