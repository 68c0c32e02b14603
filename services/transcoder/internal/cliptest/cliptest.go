// Package cliptest makes short clips with the FFmpeg in PATH, for tests only.
// Not to have FFmpeg fails a test: it is part of what is tested.
package cliptest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Make runs `ffmpeg ARGS file` in a folder of the test's and returns the path
// of file. Fields of args are separated by spaces.
func Make(t testing.TB, file, args string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), file)
	argv := append([]string{"-v", "error", "-nostdin"}, strings.Fields(args)...)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", append(argv, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
	return path
}

// Short is 1 s of 320x180 at 30 Hz with sound.
const Short = "-f lavfi -i testsrc=s=320x180:r=30:d=1 -f lavfi -i sine=d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"

// Silent is 1 s of 320x180 at 25 Hz without sound.
const Silent = "-f lavfi -i testsrc=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p"
