// Package ladder decides which renditions to make of a source: sizes, frame
// rate, keyframe distance and rate limits.
//
// It is pure, and never makes a picture larger than the source's.
package ladder

import (
	"fmt"
	"math"
	"slices"
)

// Config is a ladder as an operator writes it. Zero fields mean the defaults
// named at each.
type Config struct {
	Rungs          []Rung // Default's
	Preset         string // of x264; "veryfast"
	SegmentSeconds int    // 6
	AudioBitrate   int    // bits per second of AAC; 128,000
}

// Rung is one rendition to make where the source is large enough.
type Rung struct {
	Height       int // of a landscape picture, the shorter side
	MaxBandwidth int // bits per second
	CRF          int // constant rate factor; 0 means 23
}

// Default is the ladder where no operator wrote one.
var Default = Config{Rungs: []Rung{
	{Height: 1080, MaxBandwidth: 5_000_000},
	{Height: 720, MaxBandwidth: 2_800_000},
	{Height: 480, MaxBandwidth: 1_400_000},
	{Height: 240, MaxBandwidth: 400_000},
}}

const (
	gopSeconds = 2
	maxRate    = 60
	minRate    = 1
	// between is how much higher than the next lower rung a source must be to
	// get a rendition of its own size.
	between = 1.15
	minSide = 16
)

// Source is what the plan depends on.
type Source struct {
	Width, Height    int // as shown, in square pixels
	RateNum, RateDen int64
}

// Plan is what to make of one source.
type Plan struct {
	Renditions       []Rendition // largest first
	RateNum, RateDen int64       // constant frame rate of all renditions
	GOP              int         // frames between keyframes
	SegmentSeconds   int
	Preset           string
	AudioBitrate     int
}

// Rendition is one size and quality of the video.
type Rendition struct {
	Name          string // of its folder, as "720p"
	Width, Height int    // even
	MaxBandwidth  int    // bits per second
	CRF           int
}

// Make plans the renditions of a source by c.
func Make(c Config, s Source) (Plan, error) {
	if s.Width <= 0 || s.Height <= 0 {
		return Plan{}, fmt.Errorf("a source of %dx%d has no ladder", s.Width, s.Height)
	}
	c = c.withDefaults()
	p := Plan{SegmentSeconds: c.SegmentSeconds, Preset: c.Preset, AudioBitrate: c.AudioBitrate}
	p.RateNum, p.RateDen = frameRate(s.RateNum, s.RateDen)
	p.GOP = gop(p.RateNum, p.RateDen)
	for _, rung := range rungs(c.Rungs, min(s.Width, s.Height)) {
		width, height := fit(s, rung.Height)
		p.Renditions = append(p.Renditions, Rendition{
			Name: fmt.Sprintf("%dp", rung.Height), Width: width, Height: height,
			MaxBandwidth: rung.MaxBandwidth, CRF: rung.CRF,
		})
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	if len(c.Rungs) == 0 {
		c.Rungs = Default.Rungs
	}
	if c.Preset == "" {
		c.Preset = "veryfast"
	}
	if c.SegmentSeconds == 0 {
		c.SegmentSeconds = 6
	}
	if c.AudioBitrate == 0 {
		c.AudioBitrate = 128_000
	}
	return c
}

// rungs returns those that a source whose shorter side is side deserves,
// highest first, each height once. The first is lowered to the source's size
// where that lies well between two rungs or below all.
func rungs(all []Rung, side int) []Rung {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Rung) int { return b.Height - a.Height })
	all = slices.CompactFunc(all, func(a, b Rung) bool { return a.Height == b.Height })
	for i := range all {
		if all[i].CRF == 0 {
			all[i].CRF = 23
		}
	}
	first := slices.IndexFunc(all, func(r Rung) bool { return r.Height <= side })
	switch {
	case first == 0:
		return all
	case first < 0:
		return lower(all[len(all)-1:], side)
	case float64(side) >= between*float64(all[first].Height):
		return lower(all[first-1:], side)
	}
	return all[first:]
}

func lower(rungs []Rung, side int) []Rung {
	rungs[0].Height = max(side&^1, 2)
	return rungs
}

// fit returns the even size whose shorter side is side, in the source's shape.
func fit(s Source, side int) (width, height int) {
	long := even(float64(max(s.Width, s.Height)) * float64(side) / float64(min(s.Width, s.Height)))
	short := even(float64(side))
	if s.Width >= s.Height {
		return long, short
	}
	return short, long
}

func even(x float64) int { return max(minSide, int(math.Round(x/2))*2) }

// common frame rates; an average close to one is that one.
var common = [][2]int64{{24000, 1001}, {24, 1}, {25, 1}, {30000, 1001}, {30, 1}, {48, 1}, {50, 1}, {60000, 1001}, {60, 1}}

// frameRate returns a constant rate near num/den, at most 60 and at least 1.
func frameRate(num, den int64) (int64, int64) {
	if num <= 0 || den <= 0 {
		return 25, 1
	}
	rate := float64(num) / float64(den)
	if rate > maxRate {
		return maxRate, 1
	}
	if rate < minRate {
		return minRate, 1
	}
	best := common[0]
	for _, c := range common {
		if math.Abs(float64(c[0])/float64(c[1])-rate) < math.Abs(float64(best[0])/float64(best[1])-rate) {
			best = c
		}
	}
	if nearest := float64(best[0]) / float64(best[1]); math.Abs(nearest-rate) < 0.002*rate {
		return best[0], best[1]
	}
	return int64(math.Round(rate * 1000)), 1000
}

// gop returns the frames that last 2 s or just over, so that a keyframe is
// never short of a segment's end.
func gop(num, den int64) int { return int((gopSeconds*num + den - 1) / den) }
