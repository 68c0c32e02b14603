// Package encode writes the command line by which one run of FFmpeg makes all
// renditions: one decode, each size scaled from the next larger one.
//
// It is pure. The output is fragmented MP4 in one folder for each stream,
// named by its number; playlists are made by package hls.
package encode

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/services/transcoder/internal/hls"
	"github.com/backlot-video/backlot/services/transcoder/internal/ladder"
	"github.com/backlot-video/backlot/services/transcoder/internal/probe"
)

// ManifestName is FFmpeg's own manifest in its working folder; nobody reads it.
const ManifestName = "manifest.mpd"

// Args returns FFmpeg's arguments to make the renditions of the file at path in
// its working folder. The folders "0", "1", ... must exist there, one for each
// rendition in the order of p and one more for the sound.
func Args(path string, m probe.Media, p ladder.Plan) []string {
	args := []string{
		"-v", "warning", "-hide_banner", "-nostdin", "-y",
		"-progress", "pipe:1", "-stats_period", "0.25",
		"-protocol_whitelist", probe.Protocols, "-format_whitelist", probe.Formats,
		"-i", "file:" + path,
		"-filter_complex", filter(m, p),
	}
	for i, r := range p.Renditions {
		n := strconv.Itoa(i)
		args = append(args,
			"-map", "[v"+n+"]",
			"-crf:v:"+n, strconv.Itoa(r.CRF),
			"-maxrate:v:"+n, strconv.Itoa(r.MaxBandwidth),
			"-bufsize:v:"+n, strconv.Itoa(2*r.MaxBandwidth))
	}
	gop := strconv.Itoa(p.GOP)
	args = append(args,
		"-c:v", "libx264", "-preset:v", p.Preset, "-profile:v", "high", "-pix_fmt", "yuv420p",
		"-g", gop, "-keyint_min", gop, "-sc_threshold", "0")
	if m.Audio != nil {
		args = append(args,
			"-map", fmt.Sprintf("0:%d", m.Audio.Index),
			"-c:a", "aac", "-b:a", strconv.Itoa(p.AudioBitrate), "-ar", "48000", "-ac", strconv.Itoa(min(2, m.Audio.Channels)),
			// Fill gaps, so that the sound starts and stays with the pictures.
			"-af", "aresample=async=1:first_pts=0")
	}
	return append(args,
		// Metadata may tell where a video was taken.
		"-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact",
		"-max_muxing_queue_size", "4096",
		"-f", "dash", "-seg_duration", strconv.Itoa(p.SegmentSeconds),
		"-use_template", "1", "-use_timeline", "1",
		"-init_seg_name", "$RepresentationID$/"+hls.InitName,
		"-media_seg_name", "$RepresentationID$/"+hls.SegmentFormat,
		ManifestName)
}

func filter(m probe.Media, p ladder.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[0:%d]", m.Video.Index)
	if m.Video.Interlaced {
		b.WriteString("bwdif=mode=send_frame,")
	}
	fmt.Fprintf(&b, "fps=%d/%d:start_time=0", p.RateNum, p.RateDen)
	if m.Video.HDR() {
		b.WriteString(",zscale=p=bt709:t=bt709:m=bt709:r=tv")
	}
	for i, r := range p.Renditions {
		fmt.Fprintf(&b, ",scale=%d:%d,setsar=1,format=yuv420p", r.Width, r.Height)
		if i == len(p.Renditions)-1 {
			fmt.Fprintf(&b, "[v%d]", i)
			break
		}
		fmt.Fprintf(&b, ",split=2[v%d][c%d];[c%d]null", i, i, i)
	}
	return b.String()
}

// Promise returns what the output must hold.
func Promise(m probe.Media, p ladder.Plan) hls.Promise {
	promise := hls.Promise{Duration: m.Duration, WholeFile: m.WholeFile, Sound: m.Audio != nil, Renditions: map[string]hls.Size{}}
	if average := m.Video.FrameRate.Float(); m.WholeFile && average > 0 {
		// The pictures may be shorter than the file: count them too.
		promise.Frames = int64(float64(m.Video.Frames) * float64(p.RateNum) / float64(p.RateDen) / average)
	}
	if m.Audio != nil {
		promise.SoundTime = m.Audio.Duration
	}
	for _, r := range p.Renditions {
		promise.Renditions[r.Name] = hls.Size{Width: r.Width, Height: r.Height}
	}
	return promise
}
