package crashpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/crashpoint"
)

// child builds testdata/child with the given tags.
func child(t *testing.T, tags string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "child")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", path, "./testdata/child").CombinedOutput()
	if err != nil {
		t.Fatalf("build child: %v\n%s", err, out)
	}
	return path
}

func run(t *testing.T, path, crashAt string, args ...string) (output string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), path, args...)
	command.Env = append(os.Environ(), crashpoint.Variable+"="+crashAt)
	out, _ := command.CombinedOutput()
	return string(out), command.ProcessState.ExitCode()
}

func TestProcessDiesAtTheArmedHit(t *testing.T) {
	path := child(t, "crashpoint")
	const killed = -1
	for _, test := range []struct {
		crashAt, output string
		code            int
	}{
		{"", "passed 0\npassed 1\npassed 2\nnot reached when killed\n", 0},
		{"child/other", "passed 0\npassed 1\npassed 2\nnot reached when killed\n", 0},
		{"child/first", "crashpoint: died at child/first\n", killed},
		{"child/first:2", "passed 0\ncrashpoint: died at child/first\n", killed},
		{"child/second:3", "passed 0\npassed 1\npassed 2\ncrashpoint: died at child/second\n", killed},
		{"child/first:3,child/second:2", "passed 0\npassed 1\ncrashpoint: died at child/second\n", killed},
		{"child/second:4", "passed 0\npassed 1\npassed 2\nnot reached when killed\n", 0},
	} {
		if output, code := run(t, path, test.crashAt); output != test.output || code != test.code {
			t.Errorf("%q: exit %d, printed %q; want exit %d, %q", test.crashAt, code, output, test.code, test.output)
		}
	}
	if output, code := run(t, path, "child/first:x"); code != 2 || !strings.Contains(output, "no number above 0") {
		t.Errorf("malformed count: exit %d, printed %q", code, output)
	}
	if output, _ := run(t, path, "", "list"); !strings.HasPrefix(output, "true [child/first child/second]\n") {
		t.Errorf("names: %q", output)
	}
}

func TestWithoutTheTagNothingHappens(t *testing.T) {
	path := child(t, "")
	if output, code := run(t, path, "child/first"); code != 0 || !strings.Contains(output, "passed 2") {
		t.Errorf("exit %d, printed %q", code, output)
	}
	if output, _ := run(t, path, "", "list"); !strings.HasPrefix(output, "false []\n") {
		t.Errorf("names: %q", output)
	}
}
