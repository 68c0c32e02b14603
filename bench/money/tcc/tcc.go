// Package tcc compares the coordinator with DTM: global transactions of two
// branches over the same PostgreSQL, fsync on, with the same participants,
// which do nothing.
//
//	tcc.go       the comparison
//	inside.go    what runs inside the network namespace; namespace_*.go make it
//	postgres.go  a PostgreSQL of its own
//	server.go    a server under test: its process and its processor time
//	dtm.go       DTM: its schema, settings and protocol
//	ours.go      the coordinator: its settings, both of its APIs
//	noop.go      participants
//	load.go      clients in a closed loop
//	recovery.go  kill -9 under load
//
// DTM listens on all interfaces, so all of it runs in a network namespace of
// its own, which has nothing but loopback.
package tcc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{
	{Name: "money/tcc", Run: func(r *measure.Report) error { return outside(r, "tcc") }},
	{Name: "money/tcc-recovery", Run: func(r *measure.Report) error { return outside(r, "recovery") }},
}

// Environment of the process inside the namespace.
const (
	envPart = "BACKLOT_BENCH_TCC_PART"
	envDir  = "BACKLOT_BENCH_TCC_DIR"
)

// outside builds the servers and runs the comparison inside. The process that
// it starts there is this program again.
func outside(r *measure.Report, part string) error {
	if os.Getenv(envPart) != "" {
		return inside(r, os.Getenv(envPart), os.Getenv(envDir))
	}
	dir, err := os.MkdirTemp("", "backlot-bench-tcc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	if err := build(dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), self, "money/tcc")
	cmd.Env = append(os.Environ(), envPart+"="+part, envDir+"="+dir)
	cmd.Stdout, cmd.Stderr = r.Out, os.Stderr
	if cmd.SysProcAttr, err = isolated(); err != nil {
		return err
	}
	return cmd.Run()
}

// build makes the servers and DTM's schema in dir.
func build(dir string) error {
	workspace, err := goCommand("", "env", "GOWORK")
	if err != nil {
		return err
	}
	if workspace == "" || workspace == "off" {
		return errors.New("run it in Backlot's workspace")
	}
	root := filepath.Dir(workspace)
	if _, err := goCommand(root, "build", "-o", filepath.Join(dir, "coordinator"), "./services/coordinator/cmd/coordinator"); err != nil {
		return err
	}
	peer := filepath.Join(root, "bench", "money", "dtm")
	if _, err := goCommand(peer, "build", "-o", filepath.Join(dir, "dtm"), "."); err != nil {
		return err
	}
	module, err := goCommand(peer, "list", "-m", "-f", "{{.Dir}}", "github.com/dtm-labs/dtm")
	if err != nil {
		return err
	}
	schema, err := os.ReadFile(filepath.Join(module, "sqls", "dtmsvr.storage.postgres.sql"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dtm.sql"), schema, 0o600)
}

// goCommand runs the go tool in a folder; outside the workspace where that is
// a module of its own.
func goCommand(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = dir
	if filepath.Base(dir) == "dtm" {
		cmd.Env = append(os.Environ(), "GOWORK=off")
	}
	output, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return strings.TrimSpace(string(output)), err
}
