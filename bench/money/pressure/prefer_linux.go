package pressure

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

const ordinary, preferred = 0, -10 // priorities, the lower the sooner

// prefer lets callers run before the server, where that is allowed, as though
// they had a machine of their own: their lateness is not the server's. It
// returns what undoes it.
func prefer() (restore func()) {
	nice(preferred)
	return func() { nice(ordinary) }
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

// startOrdinary starts a process that is not preferred: it has the priority of
// the thread that starts it.
func startOrdinary(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const self = 0
	if syscall.Setpriority(syscall.PRIO_PROCESS, self, ordinary) != nil {
		return cmd.Start()
	}
	defer func() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, self, preferred) }()
	return cmd.Start()
}
