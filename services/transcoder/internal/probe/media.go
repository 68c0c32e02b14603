// Package probe finds out what an uploaded file is, by one run of ffprobe, and
// refuses what is not a video that can be transcoded.
//
//   - media.go is what is known of a file; probe.go asks ffprobe;
//     parse.go reads its answer and judges it.
//
// It counts the packets of the whole file, which reads it once: a file cut
// short declares its full duration. It decodes nothing, so a video with
// damaged pictures passes.
package probe

import (
	"math"
	"time"
)

// Media is a file with a video stream that can be transcoded.
type Media struct {
	Format   string        // FFmpeg's name of the container, as "mov,mp4,..."
	Size     int64         // bytes
	Duration time.Duration // of the video, from the start of the file
	// WholeFile tells that the container does not say how long the video alone
	// is: Duration is the file's then, and sound may outlast the pictures.
	WholeFile bool
	Video     Video
	Audio     *Audio // nil: the file is silent
}

// Video is the first stream of moving pictures.
type Video struct {
	Index       int // among all streams
	Codec       string
	PixelFormat string
	Width       int // coded, before rotation
	Height      int
	Rotation    int   // degrees clockwise to show it upright: 0, 90, 180, 270
	Aspect      Ratio // of a pixel
	FrameRate   Ratio // average
	Frames      int64 // packets counted
	Transfer    string
	Interlaced  bool
}

// Audio is the first sound stream.
type Audio struct {
	Index      int
	Codec      string
	SampleRate int
	Channels   int
	Duration   time.Duration // from the start of the file; 0: unknown
}

// Ratio is Num/Den; the zero value is unknown.
type Ratio struct {
	Num, Den int64
}

// Float returns the ratio's value, 0 if unknown.
func (r Ratio) Float() float64 {
	if r.Num <= 0 || r.Den <= 0 {
		return 0
	}
	return float64(r.Num) / float64(r.Den)
}

// Size returns how wide and high the pictures are shown, in square pixels.
func (v Video) Size() (width, height int) {
	width, height = v.Width, v.Height
	if a := v.Aspect.Float(); a > 0 {
		width = max(1, int(math.Round(float64(width)*a)))
	}
	if v.Rotation%180 != 0 {
		width, height = height, width
	}
	return width, height
}

// HDR tells whether the pictures are of high dynamic range.
func (v Video) HDR() bool { return v.Transfer == "smpte2084" || v.Transfer == "arib-std-b67" }
