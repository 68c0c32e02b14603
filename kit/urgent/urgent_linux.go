package urgent

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	thread = 0  // the calling one
	sooner = 5  // nice values: it has about three times the weight of another thread
	zero   = 20 // less a nice value is what the system call answers
)

// refused is set once the system has refused: it is not asked again.
var refused atomic.Bool

func do(fn func()) {
	if refused.Load() {
		fn()
		return
	}
	// While this one is locked, Go has another thread start new ones, so that none
	// begins with its priority.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	answer, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	nice := zero - answer
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, thread, nice-sooner)
	}
	if err != nil {
		refused.Store(true)
	} else {
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, thread, nice) }() // who may have more may have less
	}
	fn()
}
