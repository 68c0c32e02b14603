package transcoder

import (
	"errors"
	"strings"

	"github.com/backlot-video/backlot/services/transcoder/internal/process"
)

// Verdict is what an error of Transcode or Publish means.
type Verdict struct {
	Reason  string // one word for metrics, from a fixed set
	Problem string // for the creator: nothing about our machines
	Retry   bool   // another attempt may succeed
}

const diskFull = "No space left on device"

// Judge says what err, which is not nil, means. An error that is nobody's
// known fault is worth another attempt.
func Judge(err error) Verdict {
	var refusal *RefusalError
	var run *process.Error
	switch {
	case errors.As(err, &refusal):
		return Verdict{string(refusal.Reason), refusal.Message, false}
	case errors.Is(err, ErrCancelled):
		return Verdict{"cancelled", "cancelled by request", false}
	case errors.Is(err, ErrMissing):
		return Verdict{"ffmpeg_missing", "the transcoder has no FFmpeg; ask the operator", true}
	case errors.Is(err, ErrIncomplete):
		return Verdict{"incomplete", "the video could not be transcoded to its end: the file may be damaged or cut short", false}
	case errors.As(err, &run):
		return judgeRun(run.Result)
	}
	return Verdict{"internal", "an internal fault; it will be tried again", true}
}

func judgeRun(r process.Result) Verdict {
	reason := r.End.String()
	if strings.Contains(r.Stderr, diskFull) {
		return Verdict{"disk_full", "the transcoder's disk is full", true}
	}
	switch r.End {
	case process.Crashed:
		return Verdict{reason, "the file makes the transcoder crash", false}
	case process.Undecodable:
		return Verdict{reason, "too much of the video cannot be decoded", false}
	case process.Failed:
		return Verdict{reason, "the video cannot be transcoded: " + plain(r.Stderr), false}
	case process.Deadline:
		return Verdict{reason, "transcoding took too long", false}
	case process.Stalled:
		return Verdict{reason, "transcoding came to a standstill", true}
	case process.OutOfMemory:
		return Verdict{reason, "transcoding needs more memory than allowed", true}
	case process.Shutdown:
		return Verdict{reason, "the transcoder is stopping", true}
	default:
		return Verdict{reason, "transcoding was interrupted", true}
	}
}

// plain returns the last line of FFmpeg's report if it names no file.
func plain(stderr string) string {
	line := process.LastLine(stderr)
	if line == "" || strings.ContainsAny(line, `/\`) {
		return "FFmpeg reports an error"
	}
	return line
}
