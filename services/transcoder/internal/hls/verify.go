package hls

import (
	"fmt"
	"math"
	"time"
)

// Promise is what the source is known to hold; zero fields are not compared.
type Promise struct {
	Duration time.Duration // of the video
	// WholeFile says that Duration may be that of longer sound.
	WholeFile bool
	Sound     bool
	SoundTime time.Duration
	// Frames is how many frames the output should have.
	Frames int64
	// Renditions are the sizes asked for, by track name.
	Renditions map[string]Size
}

// Size is a picture's.
type Size struct{ Width, Height int }

// Tolerances: containers round, AAC pads, and a last frame's duration is often
// unknown. Frames of uneven sources are repeated and left out.
const (
	slack       = 500 * time.Millisecond
	slackPart   = 0.005
	framesPart  = 0.02
	framesSlack = 3
)

// verify compares what was read with what was promised.
func verify(tracks []Track, p Promise) error {
	var video, sound []Track
	for _, t := range tracks {
		if t.Video() {
			video = append(video, t)
		} else {
			sound = append(sound, t)
		}
	}
	if len(video) != len(p.Renditions) {
		return fmt.Errorf("%w: %d renditions, not %d", ErrIncomplete, len(video), len(p.Renditions))
	}
	if p.Sound != (len(sound) == 1) {
		return fmt.Errorf("%w: %d sound tracks, and the source has sound: %t", ErrIncomplete, len(sound), p.Sound)
	}
	var soundTime time.Duration
	if p.Sound {
		soundTime = sound[0].Duration()
		if p.SoundTime > 0 && apart(soundTime, p.SoundTime) {
			return fmt.Errorf("%w: sound lasts %s, the source's %s", ErrIncomplete, soundTime, p.SoundTime)
		}
	}
	for _, t := range video {
		if err := verifyVideo(t, video[0], soundTime, p); err != nil {
			return fmt.Errorf("rendition %s: %w", t.Name, err)
		}
	}
	return nil
}

func verifyVideo(t, first Track, soundTime time.Duration, p Promise) error {
	if want := p.Renditions[t.Name]; t.Width != want.Width || t.Height != want.Height {
		return fmt.Errorf("%w: %dx%d, not %dx%d", ErrIncomplete, t.Width, t.Height, want.Width, want.Height)
	}
	lasts := t.Duration()
	if p.WholeFile {
		lasts = max(lasts, soundTime)
	}
	if apart(lasts, p.Duration) {
		return fmt.Errorf("%w: lasts %s, the source %s", ErrIncomplete, lasts, p.Duration)
	}
	if off := math.Abs(float64(t.Frames - p.Frames)); p.Frames > 0 && off > framesSlack+framesPart*float64(p.Frames) {
		return fmt.Errorf("%w: %d frames, the source promises %d", ErrIncomplete, t.Frames, p.Frames)
	}
	if len(t.Segments) != len(first.Segments) {
		return fmt.Errorf("%w: %d segments, and %s has %d", ErrIncomplete, len(t.Segments), first.Name, len(first.Segments))
	}
	for i, s := range t.Segments {
		if s.Ticks*first.Timescale != first.Segments[i].Ticks*t.Timescale {
			return fmt.Errorf("%w: segment %s does not end where that of %s does", ErrIncomplete, s.Name, first.Name)
		}
	}
	return nil
}

func apart(a, b time.Duration) bool {
	return (a - b).Abs() > max(slack, time.Duration(slackPart*float64(b)))
}
