package pressure

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	self      = 0   // the calling thread
	preferred = -10 // a priority, the lower the sooner
)

// sides are the processors of callers and of the server.
type sides struct{ callers, server, all unix.CPUSet }

// apart has callers run on the last processor, and before all others there where
// that is allowed, and has the server started on the rest: callers stand for
// other machines, and what they take is not the server's. Where there is one
// processor, both share it.
func apart() (s *sides, err error) {
	s = new(sides)
	if err := unix.SchedGetaffinity(self, &s.all); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	s.callers, s.server = s.all, s.all
	if s.all.Count() > 1 {
		last := 0
		for cpu := range len(s.all) * strconv.IntSize {
			if s.all.IsSet(cpu) {
				last = cpu
			}
		}
		s.callers.Zero()
		s.callers.Set(last)
		s.server.Clear(last)
	}
	s.move(&s.callers, preferred)
	return s, nil
}

// together undoes it.
func (s *sides) together() { s.move(&s.all, 0) }

// move places the process's threads; later ones are where the one is that starts
// them.
func (s *sides) move(where *unix.CPUSet, priority int) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			place(id, where, priority)
		}
	}
}

// place places a thread, if it is still there.
func place(thread int, where *unix.CPUSet, priority int) {
	_ = unix.SchedSetaffinity(thread, where)
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, priority)
}

// start starts a server on its side: it is where the thread is that starts it.
func (s *sides) start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	place(self, &s.server, 0)
	defer place(self, &s.callers, preferred)
	return cmd.Start()
}

// processors is how many the server has.
func (s *sides) processors() int { return s.server.Count() }
