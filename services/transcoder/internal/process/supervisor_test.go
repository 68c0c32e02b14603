//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/eventually"
)

// scripts are the children that the tests run.
var scripts = map[string]string{
	"exit":        `echo "bad thing: number $1" >&2; exit $1`,
	"die":         `kill -$1 $$`,
	"wait":        `printf 'frame=1\nout_time_us=1\nprogress=continue\n'; exec sleep 3600`,
	"deaf":        `trap '' TERM; printf 'frame=1\nout_time_us=1\nprogress=continue\n'; exec sleep 3600`,
	"tick":        `for i in 1 2 3 4 5 6 7 8 9 10; do printf "frame=$i\nout_time_us=$i\nprogress=continue\n"; sleep 0.12; done`,
	"parent":      `sleep 3600 & echo $! >$1`,
	"environment": `env`,
}

func child(mode string, args ...string) Command {
	return Command{Path: "/bin/sh", Args: append([]string{"-c", scripts[mode], mode}, args...)}
}

// TestMain lets the test binary play a parent that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "play" {
		if err := play(os.Args[2], os.Args[3]); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

func play(role, dir string) error {
	if role == "supervisor" {
		s, err := New(dir, slog.New(slog.DiscardHandler))
		if err == nil {
			_, err = s.Run(context.Background(), child("wait"))
		}
		return err
	}
	// A child on record that no parent's death ends, as on macOS.
	c := child("wait")
	cmd := exec.Command(c.Path, c.Args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err := records{dir: dir}.note(cmd.Process.Pid, "wait")
	return err
}

func newSupervisor(t *testing.T) *Supervisor {
	t.Helper()
	s, err := New(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func alive(pid int) bool {
	b, err := birth(pid)
	return err == nil && b != ""
}

func TestRunTellsHowTheChildEnded(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	for _, test := range []struct {
		mode, arg string
		want      End
	}{
		{"exit", "0", Succeeded},
		{"exit", "1", Failed},
		{"exit", "69", Undecodable},
		{"exit", "255", Killed},
		{"die", "9", Killed},
		{"die", "11", Crashed},
		{"die", "6", Crashed},
	} {
		t.Run(test.mode+test.arg, func(t *testing.T) {
			t.Parallel()
			result, err := s.Run(t.Context(), child(test.mode, test.arg))
			if result.End != test.want || EndOf(err) != test.want {
				t.Errorf("end %s, error %v; want %s", result.End, err, test.want)
			}
			if test.mode == "exit" && LastLine(result.Stderr) != "bad thing: number "+test.arg {
				t.Errorf("stderr %q", result.Stderr)
			}
		})
	}
}

func TestRunReportsAMissingTool(t *testing.T) {
	s := newSupervisor(t)
	_, err := s.Run(t.Context(), Command{Path: "/nonexistent/ffmpeg"})
	if EndOf(err) != NotStarted || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Find("ffmpeg", "/nonexistent/ffmpeg"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "--transcoder.ffmpeg") {
		t.Errorf("got %v", err)
	}
}

func TestRunDoesNotStartUnderAnEndedContext(t *testing.T) {
	s := newSupervisor(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrCancelled)
	if _, err := s.Run(ctx, child("wait")); EndOf(err) != Cancelled {
		t.Errorf("got %v", err)
	}
}

func TestCauseOfTheContextIsTheEnd(t *testing.T) {
	s := newSupervisor(t)
	for _, test := range []struct {
		cause error
		want  End
	}{{ErrCancelled, Cancelled}, {ErrShutdown, Shutdown}, {context.DeadlineExceeded, Deadline}, {errors.New("other"), Shutdown}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := child("wait")
		c.Progress = func(Progress) { cancel(test.cause) }
		if _, err := s.Run(ctx, c); EndOf(err) != test.want {
			t.Errorf("%v: got %v, want %s", test.cause, err, test.want)
		}
	}
}

func TestChildThatIgnoresTermIsKilled(t *testing.T) {
	s := newSupervisor(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	c := child("deaf")
	c.Grace = 50 * time.Millisecond
	c.Progress = func(Progress) { cancel(ErrCancelled) }
	result, err := s.Run(ctx, c)
	if EndOf(err) != Cancelled || result.Signal != syscall.SIGKILL {
		t.Errorf("signal %v, error %v", result.Signal, err)
	}
}

func TestStallIsNoticedAndProgressPutsItOff(t *testing.T) {
	s := newSupervisor(t)
	c := child("wait")
	c.Stall, c.Progress = 100*time.Millisecond, func(Progress) {}
	if _, err := s.Run(t.Context(), c); EndOf(err) != Stalled {
		t.Errorf("blocked child: got %v", err)
	}
	c = child("tick") // 1.2 s in all
	c.Stall, c.Progress = time.Second, func(Progress) {}
	if _, err := s.Run(t.Context(), c); err != nil {
		t.Errorf("child that goes on: got %v", err)
	}
}

func TestGrandchildrenEndWithTheChild(t *testing.T) {
	s := newSupervisor(t)
	file := filepath.Join(t.TempDir(), "pid")
	if _, err := s.Run(t.Context(), child("parent", file)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "grandchild ended", func() bool { return !alive(pid) })
}

func TestChildSeesNoSecretsOfOurEnvironment(t *testing.T) {
	t.Setenv("BACKLOT_SECRET", "x")
	s := newSupervisor(t)
	var out strings.Builder
	c := child("environment")
	c.Stdout = &out
	if _, err := s.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "BACKLOT_SECRET") || !strings.Contains(out.String(), "PATH=") {
		t.Errorf("child's environment: %s", out.String())
	}
}

func TestNoChildSurvivesTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "play", "supervisor", dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := recordedPID(t, dir)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// Linux ends the child at once; elsewhere the next start does.
	s, err := New(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eventually.True(t, "orphan ended", func() bool { return !alive(pid) })
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("records left: %v", left)
	}
}

func TestSweepKillsAnOrphanAndSparesItsNamesake(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command(os.Args[0], "play", "record", dir).Run(); err != nil {
		t.Fatal(err)
	}
	pid := recordedPID(t, dir)
	// Our own id with another birth: the recorded process ended long ago.
	reused := fmt.Sprintf(`{"pid":%d,"birth":"long ago","tool":"x"}`, os.Getpid())
	for name, text := range map[string]string{"1.child": reused, "2.child": "{", "3.child.new": "", "4.child": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	killed, err := (records{dir: dir}).sweep()
	if err != nil || len(killed) != 1 || killed[0].PID != pid {
		t.Errorf("killed %v, error %v; want only %d", killed, err, pid)
	}
	eventually.True(t, "orphan ended", func() bool { return !alive(pid) })
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("records left: %v", left)
	}
}

func recordedPID(t *testing.T, dir string) int {
	t.Helper()
	var pid int
	eventually.True(t, "child is on record", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*"+recordSuffix))
		for _, path := range found {
			if rec, alive, err := load(path); err == nil && alive {
				pid = rec.PID
			}
		}
		return pid != 0
	})
	return pid
}

func TestManyChildrenAtOnceAllSucceed(t *testing.T) {
	s := newSupervisor(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := s.Run(t.Context(), child("exit", "0")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTailKeepsTheEnd(t *testing.T) {
	tl := &tail{max: 8}
	for _, part := range []string{"abc", "defgh", "ij", "0123456789"} {
		_, _ = io.WriteString(tl, part)
	}
	if tl.String() != "23456789" {
		t.Errorf("got %q", tl.String())
	}
}
