//go:build unix

package lifecycle

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestASuccessorThatNeitherServesNorEndsIsKilled with what it has started.
func TestASuccessorThatNeitherServesNorEndsIsKilled(t *testing.T) {
	dir := t.TempDir()
	held, program := filepath.Join(dir, "trace"), filepath.Join(dir, "program")
	script := "#!/bin/sh\nexec 3>" + held + "\nsleep 600 &\nwait\n"
	if err := errors.Join(syscall.Mkfifo(held, 0o600), os.WriteFile(program, []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	dropped := false
	u := upgrade{
		program: program, limit: 300 * time.Millisecond, drop: func() bool { dropped = true; return true },
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}),
	}
	successor, ended, err := u.start(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := os.Open(held) // returns when the successor has opened it
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if !u.await(t.Context(), successor, ended, slog.New(slog.DiscardHandler)) || !dropped {
		t.Error("it is not said to have failed")
	}
	if _, err := io.ReadAll(pipe); err != nil { // ends with the last that has it
		t.Error(err)
	}
	if failures := testutil.ToFloat64(u.failed); failures != 1 {
		t.Errorf("%v failures are counted", failures)
	}
}

// TestASuccessorThatServesAtTheLastMomentIsLeftAlone: the limit and its word
// come together.
func TestASuccessorThatServesAtTheLastMomentIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	pipe, program := filepath.Join(dir, "pipe"), filepath.Join(dir, "program")
	script := "#!/bin/sh\nread go <" + pipe + "\n"
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(program, []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	u := upgrade{
		program: program, limit: time.Millisecond, drop: func() bool { cancel(); return false },
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}),
	}
	successor, ended, err := u.start(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if u.await(ctx, successor, ended, slog.New(slog.DiscardHandler)) {
		t.Error("it is said to have failed")
	}
	if err := os.WriteFile(pipe, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if testutil.ToFloat64(u.failed) != 0 {
		t.Error("it is counted as failed")
	}
}
