//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// group is a child and all its descendants that stayed in its process group.
// Its methods may be called until the child is reaped.
type group struct {
	pid int
}

func startGroup(cmd *exec.Cmd) (*group, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &group{pid: cmd.Process.Pid}, nil
}

func (g *group) terminate() {
	_ = syscall.Kill(-g.pid, syscall.SIGTERM)
	// A stopped process acts on SIGTERM only once it continues.
	_ = syscall.Kill(-g.pid, syscall.SIGCONT)
}

func (g *group) kill() { _ = syscall.Kill(-g.pid, syscall.SIGKILL) }

func (g *group) close() {}

func lowerPriority(pid, nice int) {
	if nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PGRP, pid, nice)
	}
}

func exitStatus(state *os.ProcessState) (int, syscall.Signal) {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() { //nolint:misspell // syscall's word
		return -1, status.Signal()
	}
	return state.ExitCode(), 0
}
