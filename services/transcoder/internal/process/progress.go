package process

import (
	"bytes"
	"strconv"
	"time"
)

// Progress is one report of `ffmpeg -progress`.
type Progress struct {
	Frame     int64
	OutTime   time.Duration // how much of the output is written
	TotalSize int64         // bytes; 0 where FFmpeg does not know
	Speed     float64       // times real time; 0 where FFmpeg does not know
	Last      bool          // FFmpeg is finalising its output
}

// maxProgressLine bounds a line that is still without its end, in bytes.
const maxProgressLine = 4096

// progressReader is an io.Writer that calls report for each whole block of
// key=value lines; it ignores what it does not understand.
type progressReader struct {
	report func(Progress)
	line   []byte
	next   Progress
}

func (r *progressReader) Write(p []byte) (int, error) {
	n := len(p)
	for {
		head, rest, found := bytes.Cut(p, []byte{'\n'})
		if room := maxProgressLine - len(r.line); room > 0 {
			r.line = append(r.line, head[:min(room, len(head))]...)
		}
		if !found {
			return n, nil
		}
		r.take(string(bytes.TrimSpace(r.line)))
		r.line, p = r.line[:0], rest
	}
}

func (r *progressReader) take(line string) {
	key, value, _ := bytes.Cut([]byte(line), []byte{'='})
	text := string(bytes.TrimSpace(value))
	switch string(key) {
	case "frame":
		r.next.Frame = wholeNumber(text)
	case "total_size":
		r.next.TotalSize = wholeNumber(text)
	case "out_time_us":
		r.next.OutTime = time.Duration(min(wholeNumber(text), int64(1<<53))) * time.Microsecond
	case "speed":
		speed, err := strconv.ParseFloat(string(bytes.TrimSuffix([]byte(text), []byte{'x'})), 64)
		if err != nil || !(speed >= 0) || speed > 1e9 {
			speed = 0
		}
		r.next.Speed = speed
	case "progress":
		r.next.Last = text == "end"
		r.report(r.next)
		r.next = Progress{}
	}
}

// wholeNumber returns 0 for "N/A", a negative number and other text.
func wholeNumber(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
