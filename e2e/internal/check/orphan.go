package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Orphans finds FFmpeg processes that work under a data folder and descend
// from none of the processes alive. It reads /proc.
func Orphans(dir string, alive ...int) []string {
	var faults []string
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		command, err := os.ReadFile(path)
		if err != nil || len(command) == 0 {
			continue // it ended meanwhile
		}
		folder := filepath.Dir(path)
		working, _ := os.Readlink(filepath.Join(folder, "cwd"))
		name, _, _ := bytes.Cut(command, []byte{0})
		if !strings.HasPrefix(filepath.Base(string(name)), "ff") ||
			!bytes.Contains(command, []byte(dir)) && !strings.HasPrefix(working, dir) {
			continue
		}
		if pid, _ := strconv.Atoi(filepath.Base(folder)); !descends(pid, alive) {
			faults = append(faults, fmt.Sprintf("process %d has outlived its service: %.200q", pid, command))
		}
	}
	return faults
}

func descends(pid int, alive []int) bool {
	for range 64 {
		if slices.Contains(alive, pid) {
			return true
		}
		if pid <= 1 {
			return false
		}
		if pid = parent(pid); pid == 0 {
			return false
		}
	}
	return false
}

// parent is a process's parent; 0 where there is none.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.Atoi(fields[1])
	return id
}
