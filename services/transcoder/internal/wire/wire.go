// Package wire turns domain values into the service's proto messages and back.
// Both the API and stored facts use it. It does no I/O.
package wire

import (
	"math"
	"time"

	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

// Upload returns u with the bytes received so far.
func Upload(u upload.Upload, received int64) *transcoderv1.Upload {
	return &transcoderv1.Upload{
		Id: u.ID, VideoId: u.VideoID, CreatorId: u.CreatorID, Filename: u.Filename,
		Size: u.Size, Received: received, State: transcoderv1.UploadState(u.State),
		Problem: u.Problem, JobId: u.JobID, CreatedAt: u.Created.UnixMicro(),
	}
}

// Job returns j.
func Job(j job.Job) *transcoderv1.Job {
	return &transcoderv1.Job{
		Id: j.ID, UploadId: j.UploadID, VideoId: j.VideoID, CreatorId: j.CreatorID,
		State: transcoderv1.JobState(j.State), ProgressPpm: j.Progress, Attempt: clamp(int64(j.Attempt)),
		Problem: j.Problem, Source: Media(j.Source), Renditions: Renditions(j.Renditions),
		OutputPrefix: j.OutputPrefix, CreatedAt: j.Created.UnixMicro(), UpdatedAt: j.Updated.UnixMicro(),
	}
}

// Media returns m, nil for nil.
func Media(m *job.Media) *transcoderv1.Media {
	if m == nil {
		return nil
	}
	return &transcoderv1.Media{
		Duration: m.Duration.Microseconds(), Width: clamp(int64(m.Width)), Height: clamp(int64(m.Height)),
		FrameRateMillihertz: clamp(int64(math.Round(m.FrameRate * 1000))),
		VideoCodec:          m.VideoCodec, AudioCodec: m.AudioCodec, Frames: m.Frames,
	}
}

// DomainMedia returns m, nil for nil.
func DomainMedia(m *transcoderv1.Media) *job.Media {
	if m == nil {
		return nil
	}
	return &job.Media{
		Duration: time.Duration(m.GetDuration()) * time.Microsecond,
		Width:    int(m.GetWidth()), Height: int(m.GetHeight()), FrameRate: float64(m.GetFrameRateMillihertz()) / 1000,
		VideoCodec: m.GetVideoCodec(), AudioCodec: m.GetAudioCodec(), Frames: m.GetFrames(),
	}
}

// Renditions returns all of made.
func Renditions(made []job.Rendition) []*transcoderv1.Rendition {
	var all []*transcoderv1.Rendition
	for _, r := range made {
		all = append(all, &transcoderv1.Rendition{
			Name: r.Name, Width: clamp(int64(r.Width)), Height: clamp(int64(r.Height)),
			PeakBandwidth: clamp(r.Peak), AverageBandwidth: clamp(r.Average),
		})
	}
	return all
}

// DomainRenditions returns all of made.
func DomainRenditions(made []*transcoderv1.Rendition) []job.Rendition {
	var all []job.Rendition
	for _, r := range made {
		all = append(all, job.Rendition{
			Name: r.GetName(), Width: int(r.GetWidth()), Height: int(r.GetHeight()),
			Peak: int64(r.GetPeakBandwidth()), Average: int64(r.GetAverageBandwidth()),
		})
	}
	return all
}

// DomainLadder returns the configuration object l; nil means the default.
func DomainLadder(l *transcoderv1.Ladder) ladder.Config {
	c := ladder.Config{Preset: l.GetPreset(), SegmentSeconds: int(l.GetSegmentSeconds())}
	for _, r := range l.GetRungs() {
		c.Rungs = append(c.Rungs, ladder.Rung{Height: int(r.GetHeight()), MaxBandwidth: int(r.GetMaxBandwidth()), CRF: int(r.GetCrf())})
	}
	return c
}

// Ladder returns c as a configuration object.
func Ladder(c ladder.Config) *transcoderv1.Ladder {
	l := &transcoderv1.Ladder{Preset: c.Preset, SegmentSeconds: clamp(int64(c.SegmentSeconds))}
	for _, r := range c.Rungs {
		l.Rungs = append(l.Rungs, &transcoderv1.Rung{Height: clamp(int64(r.Height)), MaxBandwidth: clamp(int64(r.MaxBandwidth)), Crf: clamp(int64(r.CRF))})
	}
	return l
}

// clamp keeps n within what the messages can hold.
func clamp(n int64) uint32 { return uint32(max(0, min(n, math.MaxUint32))) }
