package timeslice

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	self  = 0 // the calling thread
	usual = 0 // the system's turns
)

// short is how long turns are after Shorten, in ns; else 0.
var short atomic.Int64

// Shorten has the threads of this process take turns of d, and those that they start
// from then on. Linux gives turns of 100 us to 100 ms and takes the nearest. Where
// it returns an error, some threads may have been changed.
func Shorten(d time.Duration) error {
	// A second time, since a thread that is not changed yet may start others.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if err := set(id, d); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	attributes, err := unix.SchedGetAttr(self, 0)
	if err != nil {
		return os.NewSyscallError("sched_getattr", err)
	}
	if attributes.Runtime != 0 { // the system has such turns: Long is of use
		short.Store(int64(d))
	}
	return nil
}

// Long gives the calling goroutine a thread of its own with turns of the usual length,
// for work of milliseconds, behind which the others' need not wait. The goroutine
// calls end when it is done. Where turns are not shorter it does nothing.
func Long() (end func()) {
	d := time.Duration(short.Load())
	if d == 0 {
		return func() {}
	}
	runtime.LockOSThread()
	_ = set(self, usual)
	return func() {
		_ = set(self, d)
		runtime.UnlockOSThread()
	}
}

// set changes how long a thread's turns are and nothing else of it. One that is not
// scheduled by shares (real-time, idle) stays as it is.
func set(thread int, d time.Duration) error {
	attributes, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		return os.NewSyscallError("sched_getattr", err)
	}
	if attributes.Policy != unix.SCHED_NORMAL && attributes.Policy != unix.SCHED_BATCH {
		return nil
	}
	attributes.Runtime = uint64(d)
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(thread, attributes, 0))
}
