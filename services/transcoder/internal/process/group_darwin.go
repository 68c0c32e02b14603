package process

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit waits for the end of the child and leaves it to be reaped.
func (g *group) awaitExit() {
	const (
		byPID   = 1
		exited  = 0x4
		noReap  = 0x20
		infoLen = 16 // 128 bytes
	)
	var info [infoLen]uint64
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(g.pid), uintptr(unsafe.Pointer(&info[0])), exited|noReap, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

// birth identifies the process that has pid now among all that ever had it.
// Empty: there is none.
func birth(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EIO) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	start := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", start.Sec, start.Usec), nil
}
