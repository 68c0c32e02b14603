package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits for the end of the child and leaves it to be reaped.
func (g *group) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, g.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// birth identifies the process that has pid now among all that ever had it:
// the boot and the start time in clock ticks since. Empty: there is none, or
// it has ended and is not reaped.
func birth(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	ticks, err := startTicks(string(stat))
	if err != nil || ticks == 0 {
		return "", err
	}
	return strings.TrimSpace(string(boot)) + "/" + strconv.FormatUint(ticks, 10), nil
}

// startTicks reads a /proc/PID/stat line; 0 for a zombie. The name, the second
// field, may itself hold spaces and parentheses.
func startTicks(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("malformed process status %q", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, nil
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("malformed process status %q", stat)
	}
	return ticks, nil
}
