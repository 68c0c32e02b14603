//go:build !linux

package pressure

import (
	"os/exec"
	"runtime"
)

// sides are callers and server, which share all processors here.
type sides struct{}

func apart() (*sides, error) { return new(sides), nil }

func (*sides) together() {}

func (*sides) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*sides) processors() int { return runtime.NumCPU() }
