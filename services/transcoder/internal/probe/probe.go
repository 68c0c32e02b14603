package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/process"
)

// Whitelists for FFmpeg and ffprobe. Without them a playlist or a concat
// script named .mp4 makes FFmpeg read other files and addresses.
const (
	Formats   = "mov,matroska,mpegts,avi,flv,mpeg,ogg"
	Protocols = "file"
)

// Limits bound what is accepted; zero fields mean the defaults below.
type Limits struct {
	Duration time.Duration // 12 h
	Pixels   int           // in one picture, 8192*4320
	Timeout  time.Duration // of ffprobe, 5 min
}

func (l Limits) withDefaults() Limits {
	if l.Duration == 0 {
		l.Duration = 12 * time.Hour
	}
	if l.Pixels == 0 {
		l.Pixels = 8192 * 4320
	}
	if l.Timeout == 0 {
		l.Timeout = 5 * time.Minute
	}
	return l
}

// Runner runs a child process; *process.Supervisor is one.
type Runner interface {
	Run(ctx context.Context, c process.Command) (process.Result, error)
}

// maxAnswer bounds what ffprobe may print, in bytes.
const maxAnswer = 1 << 20

// File probes the file at path with the ffprobe at tool. A *RefusalError says why
// the file cannot be transcoded; another error says nothing about the file.
func File(ctx context.Context, runner Runner, tool, path string, limits Limits) (Media, error) {
	limits = limits.withDefaults()
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Media{}, fmt.Errorf("probe: %w", err)
	case !info.Mode().IsRegular():
		return Media{}, fmt.Errorf("probe: %s is not a regular file", path)
	case info.Size() == 0:
		return Media{}, refuse(Empty, "the file is empty")
	}
	ctx, cancel := context.WithTimeout(ctx, limits.Timeout)
	defer cancel()
	out := &limitedBuffer{max: maxAnswer}
	_, err = runner.Run(ctx, process.Command{
		Path:   tool,
		Stdout: out,
		Nice:   5,
		Args: []string{
			"-v", "error", "-hide_banner",
			"-protocol_whitelist", Protocols, "-format_whitelist", Formats,
			"-count_packets", "-show_format", "-show_streams", "-of", "json",
			"-i", "file:" + path,
		},
	})
	if err != nil {
		return Media{}, judgeEnd(err)
	}
	if out.over {
		return Media{}, refuse(NotVideo, "the file has too many streams or tags")
	}
	media, err := parse(out.Bytes(), limits)
	media.Size = info.Size()
	return media, err
}

// judgeEnd tells a file's fault from ours.
func judgeEnd(err error) error {
	switch process.EndOf(err) {
	case process.Failed, process.Undecodable:
		return refuse(NotVideo, "the file is not a video that we know (MP4, MOV, MKV, WebM, MPEG, AVI, FLV or Ogg)")
	case process.Crashed:
		return refuse(Hostile, "the file makes the video reader crash")
	case process.Deadline:
		return refuse(Hostile, "the file cannot be read in reasonable time")
	default:
		return fmt.Errorf("probe: %w", err)
	}
}

// limitedBuffer takes all but keeps no more than max bytes.
type limitedBuffer struct {
	bytes.Buffer
	max  int
	over bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		b.over = true
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// Reason is why a file was refused.
type Reason string

// The reasons of a RefusalError.
const (
	Empty     Reason = "empty"
	NotVideo  Reason = "not_a_video"
	Truncated Reason = "truncated"
	TooLarge  Reason = "too_large"
	Hostile   Reason = "hostile"
)

// RefusalError is the verdict that a file cannot be transcoded, now or later.
type RefusalError struct {
	Reason  Reason
	Message string // for people
}

func (r *RefusalError) Error() string { return r.Message }

func refuse(reason Reason, format string, args ...any) error {
	return &RefusalError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// ReasonOf returns the reason of a refusal, "" for another error.
func ReasonOf(err error) Reason {
	var r *RefusalError
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}
