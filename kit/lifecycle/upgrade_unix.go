//go:build unix

package lifecycle

import (
	"os"
	"os/exec"
	"syscall"
)

// upgradeSignal asks for a successor, as of nginx.
var upgradeSignal os.Signal = syscall.SIGUSR2

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a process that leads a group, and all of the group.
func killGroup(leader *os.Process) error { return syscall.Kill(-leader.Pid, syscall.SIGKILL) }
