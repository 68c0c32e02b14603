package probe

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

type answer struct {
	Streams []stream `json:"streams"`
	Format  struct {
		Name      string `json:"format_name"`
		Duration  string `json:"duration"`
		StartTime string `json:"start_time"`
	} `json:"format"`
}

type stream struct {
	Index       int    `json:"index"`
	Codec       string `json:"codec_name"`
	Type        string `json:"codec_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Aspect      string `json:"sample_aspect_ratio"`
	PixelFormat string `json:"pix_fmt"`
	FieldOrder  string `json:"field_order"`
	Transfer    string `json:"color_transfer"`
	AverageRate string `json:"avg_frame_rate"`
	StartTime   string `json:"start_time"`
	Duration    string `json:"duration"`
	Declared    string `json:"nb_frames"`
	Packets     string `json:"nb_read_packets"`
	SampleRate  string `json:"sample_rate"`
	Channels    int    `json:"channels"`
	Disposition struct {
		AttachedPicture int `json:"attached_pic"`
	} `json:"disposition"`
	Tags struct {
		Duration string `json:"DURATION"` // Matroska's per stream
	} `json:"tags"`
	SideData []struct {
		Rotation json.Number `json:"rotation"`
	} `json:"side_data_list"`
}

// minFrames is the least that is not a still picture.
const minFrames = 2

// truncatedBelow is the part of the declared frames that must be there. What
// passes here by little is found when the output's duration is verified.
const truncatedBelow = 0.9

func parse(data []byte, limits Limits) (Media, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return Media{}, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	video := pick(a.Streams, "video")
	if video == nil {
		return Media{}, refuse(NotVideo, "the file has no video stream")
	}
	m := Media{Format: a.Format.Name, Duration: length(a, *video)}
	if m.Duration == 0 {
		m.Duration, m.WholeFile = max(0, seconds(a.Format.Duration)), true
	}
	m.Video = Video{
		Index: video.Index, Codec: video.Codec, PixelFormat: video.PixelFormat,
		Width: video.Width, Height: video.Height, Transfer: video.Transfer,
		Rotation: rotation(*video), Aspect: ratio(video.Aspect, ":"), FrameRate: ratio(video.AverageRate, "/"),
		Frames: number(video.Packets), Interlaced: interlaced(video.FieldOrder),
	}
	if audio := pick(a.Streams, "audio"); audio != nil && audio.Channels > 0 && number(audio.Packets) > 0 {
		m.Audio = &Audio{Index: audio.Index, Codec: audio.Codec, SampleRate: int(number(audio.SampleRate)), Channels: audio.Channels, Duration: length(a, *audio)}
	}
	if m.Video.FrameRate.Float() == 0 && m.Duration > 0 {
		m.Video.FrameRate = Ratio{m.Video.Frames * 1000, max(1, m.Duration.Milliseconds())}
	}
	return m, judge(m, expected(m, number(video.Declared)), limits)
}

func judge(m Media, declared int64, limits Limits) error {
	v := m.Video
	switch {
	case v.Codec == "" || v.Codec == "unknown":
		return refuse(NotVideo, "the video is in a format that cannot be decoded")
	case v.Width <= 0 || v.Height <= 0:
		return refuse(NotVideo, "the video stream has no size")
	case v.Width > math.MaxInt32 || v.Height > math.MaxInt32 || v.Width*v.Height > limits.Pixels:
		return refuse(TooLarge, "pictures of %dx%d are larger than the limit of %d pixels", v.Width, v.Height, limits.Pixels)
	case shownTooLarge(v, limits.Pixels):
		return refuse(TooLarge, "the pixel aspect ratio %d:%d makes the pictures too large", v.Aspect.Num, v.Aspect.Den)
	case v.Frames < minFrames:
		return refuse(NotVideo, "the file holds a still picture or nothing, not a video")
	case m.Duration <= 0:
		return refuse(NotVideo, "the video has no duration")
	case m.Duration > limits.Duration:
		return refuse(TooLarge, "the video lasts %s, longer than the limit of %s", m.Duration.Round(time.Second), limits.Duration)
	case declared > 0 && float64(v.Frames) < truncatedBelow*float64(declared):
		return refuse(Truncated, "the file is cut short: it holds %d of %d frames", v.Frames, declared)
	}
	return nil
}

// expected returns how many packets the container promises: not all of the
// declared frames where an edit list shows only a part. Only MP4 and its like
// declare them exactly.
func expected(m Media, declared int64) int64 {
	if !strings.Contains(m.Format, "mp4") {
		return 0
	}
	return min(declared, int64(m.Duration.Seconds()*m.Video.FrameRate.Float()))
}

func shownTooLarge(v Video, pixels int) bool {
	width, height := v.Size()
	return width > math.MaxInt32 || width*height > 4*pixels
}

// pick returns the first stream of a type that is no cover picture.
func pick(streams []stream, kind string) *stream {
	for i := range streams {
		if streams[i].Type == kind && streams[i].Disposition.AttachedPicture == 0 {
			return &streams[i]
		}
	}
	return nil
}

// length returns the end of a stream on the file's own time line, 0 if the
// container does not say.
func length(a answer, s stream) time.Duration {
	if d := seconds(s.Duration); d > 0 {
		return d + max(0, seconds(s.StartTime)-seconds(a.Format.StartTime))
	}
	// Matroska's tag is the time of the end.
	return max(0, clock(s.Tags.Duration)-max(0, seconds(a.Format.StartTime)))
}

func rotation(v stream) int {
	for _, s := range v.SideData {
		degrees, err := s.Rotation.Float64()
		if err == nil && !math.IsNaN(degrees) && math.Abs(degrees) <= 360 {
			// ffprobe counts anticlockwise.
			return ((-int(math.Round(degrees/90))*90)%360 + 360) % 360
		}
	}
	return 0
}

func interlaced(order string) bool {
	return order == "tt" || order == "bb" || order == "tb" || order == "bt"
}

// number returns 0 for what is not a number of at least 0.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, math.MaxInt64/1_000_000)
}

// ratio returns the unknown ratio for what is not one of two positive numbers.
func ratio(text, separator string) Ratio {
	left, right, _ := strings.Cut(text, separator)
	r := Ratio{number(left), number(right)}
	if r.Num == 0 || r.Den == 0 || r.Num > math.MaxInt32 || r.Den > math.MaxInt32 {
		return Ratio{}
	}
	return r
}

func seconds(text string) time.Duration {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(s) || math.Abs(s) > 1e8 {
		return 0
	}
	return time.Duration(math.Round(s*1e6)) * time.Microsecond
}

// clock reads Matroska's 00:00:02.040000000.
func clock(text string) time.Duration {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return 0
	}
	hours, minutes := number(parts[0]), number(parts[1])
	if hours > 10_000 || minutes > 59 {
		return 0
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute + max(0, seconds(parts[2]))
}
