package pressure

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const self = 0 // the calling thread

// Where the system allows it, callers are preferred as what is real-time: one that
// has something to do runs at once, and not when the server's thread there has had
// its slice. With a lower niceness in place of it, one in a hundred waited 3 ms.
var (
	preferred = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	usual     = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
)

// sides are the processors of callers and of the server.
type sides struct{ callers, server unix.CPUSet }

// apart has callers run on the last processor, and before all others there where
// that is allowed: they stand for other machines, and their lateness is not the
// server's.
func apart() (s *sides, err error) {
	s = new(sides)
	if err := unix.SchedGetaffinity(self, &s.server); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	last := 0
	for cpu := range len(s.server) * strconv.IntSize {
		if s.server.IsSet(cpu) {
			last = cpu
		}
	}
	s.callers.Set(last)
	s.move(&s.callers, &preferred)
	return s, nil
}

// together undoes it.
func (s *sides) together() { s.move(&s.server, &usual) }

// move places the process's threads; later ones are where the one is that starts
// them.
func (s *sides) move(where *unix.CPUSet, how *unix.SchedAttr) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			place(id, where, how)
		}
	}
}

// place places a thread, if it is still there.
func place(thread int, where *unix.CPUSet, how *unix.SchedAttr) {
	_ = unix.SchedSetaffinity(thread, where)
	_ = unix.SchedSetAttr(thread, how, 0)
}

// start starts a server, which is where the thread is that starts it.
func (s *sides) start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	place(self, &s.server, &usual)
	defer place(self, &s.callers, &preferred)
	return cmd.Start()
}
