//go:build linux

// Package process reads what processes take, from /proc, and says on which
// processor they may run.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of /proc's times.
const tick = 10 * time.Millisecond

var errStat = errors.New("/proc: too few fields")

// CPU is the processor time that all threads of some processes have taken.
func CPU(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 {
			return 0, errStat
		}
		for _, field := range fields[11:13] { // user and system
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n) * tick
		}
	}
	return total, nil
}

// Memory is what some processes have in memory together, in bytes. What they
// share (code, and pages that a worker has from its parent) counts once.
func Memory(pids ...int) (total int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "Pss:"); found {
				n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
				if err != nil {
					return 0, err
				}
				total += n << 10
			}
		}
	}
	return total, nil
}

// Family is a process with its children.
func Family(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, child := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// StartOn starts a program that may run on one processor only, with all that
// it starts itself.
func StartOn(cpu int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("affinity: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("affinity to processor %d: %w", cpu, err)
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &before))
}
