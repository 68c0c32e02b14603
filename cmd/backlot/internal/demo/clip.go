package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// clip describes a video to be made.
type clip struct {
	seconds int
	size    string // WxH
	rate    int    // frames a second
	hue     int    // degrees, tells tastes apart
	tone    int    // hertz
}

// make writes the clip to path, whole or not at all.
func (c clip) make(ctx context.Context, ffmpeg, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	temporary := path + ".part.mp4"
	picture := fmt.Sprintf("testsrc2=size=%s:rate=%d:duration=%d,hue=h=%d", c.size, c.rate, c.seconds, c.hue)
	sound := fmt.Sprintf("sine=frequency=%d:sample_rate=48000:duration=%d", c.tone, c.seconds)
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-y",
		"-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound,
		"-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest",
		"-movflags", "+faststart", temporary)
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("FFmpeg is needed to make a clip: install it (apt-get install ffmpeg), or give --video FILE")
		}
		return fmt.Errorf("make a clip: %w: %.300s", err, stderr.String())
	}
	return os.Rename(temporary, path)
}

// mainVideo is the file that the journey is about: the given one, or a
// clip of some seconds.
func (r *run) mainVideo(ctx context.Context) (path string, err error) {
	if r.config.Video != "" {
		info, err := os.Stat(r.config.Video)
		if err != nil {
			return "", fmt.Errorf("--video: %w", err)
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("--video: %s is no file", r.config.Video)
		}
		return r.config.Video, nil
	}
	path = filepath.Join(r.config.StateDir, "main-"+strconv.Itoa(r.config.Seconds)+"s.mp4")
	c := clip{seconds: r.config.Seconds, size: r.config.Size, rate: 25, tone: 440}
	return path, c.make(ctx, r.config.FFmpeg, path)
}

// fingerprint names a file by its content.
func fingerprint(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}
