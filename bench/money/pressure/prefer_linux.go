package pressure

import (
	"os"
	"strconv"
	"syscall"
)

// prefer lets callers run before the server, where that is allowed, as though
// they had a machine of their own: their lateness is not the server's. It
// returns what undoes it.
func prefer() (restore func()) {
	const before, after = -10, 0
	nice(before)
	return func() { nice(after) }
}

// nice sets the priority of the process's threads; later ones get it from the
// one that starts them.
func nice(value int) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, value)
		}
	}
}
