//go:build unix

package service

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/backlot-video/backlot/kit/crashpoint"
	transcoderv1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
	"github.com/backlot-video/backlot/services/transcoder/internal/cliptest"
	"github.com/backlot-video/backlot/services/transcoder/internal/eventually"
)

// spawn starts the service as a process that dies at a point,
// or only when it is killed where point is empty.
func spawn(t *testing.T, data, point string, flags ...string) (*alone, *exec.Cmd) {
	t.Helper()
	run, err := os.MkdirTemp("", "tc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	a := &alone{t: t, data: data, socket: filepath.Join(run, "s"), ended: make(chan error, 1)}
	cmd := exec.Command(os.Args[0], append(append([]string{"serve"}, a.flags()...), flags...)...)
	cmd.Env = append(os.Environ(), crashpoint.Variable+"="+point)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a.awaitListening()
	return a, cmd
}

// TestKillLeavesNoFFmpeg kills the service while FFmpeg runs.
func TestKillLeavesNoFFmpeg(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(t.TempDir(), "ffmpeg") // reads no faster than the video plays
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nexec "+ffmpeg+" -re \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	a, cmd := spawn(t, data, "", "--transcoder.ffmpeg", slow)
	id := a.upload(cliptest.Make(t, "in.mp4", strings.ReplaceAll(cliptest.Silent, "d=1", "d=60")))
	stream, err := a.rpc().WatchJob(t.Context(), &transcoderv1.WatchJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() && stream.Msg().GetJob().GetProgressPpm() == 0 {
		continue
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	child := recordedChild(t, data)
	if err := errors.Join(cmd.Process.Kill(), stream.Close()); err != nil {
		t.Log(err)
	}
	_ = cmd.Wait()
	spawn(t, data, "", "--transcoder.ffmpeg", slow) // where the system did not end it, this does
	eventually.True(t, "FFmpeg ended", func() bool { return errors.Is(syscall.Kill(child, 0), syscall.ESRCH) })
}

// recordedChild is the process that the service has on record.
func recordedChild(t *testing.T, data string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "transcoder", "runtime", "children", "*.child"))
	if err != nil || len(found) != 1 {
		t.Fatalf("children on record: %v, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var record struct{ PID int }
	if err := json.Unmarshal(text, &record); err != nil || record.PID == 0 {
		t.Fatalf("record %s: %v", text, err)
	}
	return record.PID
}
