package process

import (
	"errors"
	"fmt"
	"os/exec"
)

// ErrMissing is a tool that is not installed.
var ErrMissing = errors.New("is not installed")

// Find returns the path of tool ("ffmpeg", "ffprobe"): configured if that is
// not empty, else the one in PATH. The error says what to install and which
// flag points to it.
func Find(tool, configured string) (string, error) {
	name := tool
	if configured != "" {
		name = configured
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s %w (looked for %q): install FFmpeg (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg) or point --transcoder.%s to it", tool, ErrMissing, name, tool)
	}
	return path, nil
}
