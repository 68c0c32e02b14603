package measure

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadCPU is the time that the calling thread has spent on processors.
func ThreadCPU() time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		return 0
	}
	return time.Duration(at.Nano())
}
