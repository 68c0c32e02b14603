package epoll

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiting is how a loop waits: see park.
type waiting struct {
	file  *os.File // the loop's epoll in the runtime's poller; nil while the loop is busy
	raw   syscall.RawConn
	poll  func(uintptr) bool // takes what is there without waiting
	got   int                // by poll
	heard int                // events since the last sweep
}

// park makes a loop wait as goroutines do, by the runtime's poller, which
// watches the loop's epoll. That is two system calls more for each batch, but
// leaves the processors to what else the process does, TLS and HTTP/2 above
// all: a loop that keeps one costs these a third more where cores are few.
//
// The runtime has a copy of the descriptor, which it can be rid of.
func (l *loop) park() error {
	fd, err := unix.FcntlInt(uintptr(l.table.epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copy of epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("copy of epoll: %w", err)
	}
	l.file = os.NewFile(uintptr(fd), "epoll")
	err = l.file.SetReadDeadline(time.Time{}) // fails where the poller does not have it
	if err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		l.unpark()
		return fmt.Errorf("epoll in the runtime's poller: %w", err)
	}
	l.poll = func(uintptr) bool {
		l.got = waitBriefly(l.table.epoll, l.events, 0)
		return l.got > 0
	}
	return nil
}

// unpark takes the loop's epoll out of the runtime's poller.
func (l *loop) unpark() {
	if l.file != nil {
		_ = l.file.Close()
		l.file, l.raw = nil, nil
	}
}

// weigh is called at each sweep, four times a second. A thousand events in a
// second, about 500 requests, make a loop busy, a quarter of that keep it so:
// changes of GOMAXPROCS stop the world for some 20 us, so there are few.
func (l *loop) weigh() {
	heard := l.heard
	l.heard = 0
	switch {
	case l.file != nil && heard >= l.set.config.busyFrom:
		l.unpark()
		l.set.processors.add(1)
	case l.file == nil && heard < l.set.config.busyFrom/4:
		l.calm()
	}
}

// calm ends being busy.
func (l *loop) calm() {
	if err := l.park(); err != nil { // out of descriptors
		l.set.config.Log.Warn("an event loop keeps its processor", "err", err)
		return
	}
	l.set.processors.add(-1)
}

// wait waits for events. A busy loop keeps its processor for a millisecond,
// without telling the scheduler.
func (l *loop) wait() int {
	var n int
	switch {
	case len(l.again) > 0:
		n = waitBriefly(l.table.epoll, l.events, 0)
	case l.file != nil:
		n = l.waitParked()
	default:
		if n = waitBriefly(l.table.epoll, l.events, 1); n == 0 {
			n = l.waitLong()
		}
	}
	l.heard += n
	return n
}

// longest is how long a wait may last without events.
func (l *loop) longest() time.Duration {
	if len(l.active) > 0 {
		return tickEvery
	}
	return sweepEvery
}

// waitLong tells the scheduler that the thread blocks.
func (l *loop) waitLong() int {
	n, err := unix.EpollWait(l.table.epoll, l.events, int(l.longest()/time.Millisecond))
	if err != nil { // a signal
		return 0
	}
	return n
}

// waitParked waits as goroutines do.
func (l *loop) waitParked() int {
	_ = l.file.SetReadDeadline(time.Now().Add(l.longest()))
	l.got = 0
	_ = l.raw.Read(l.poll) // an error is the deadline's
	return l.got
}

// processors is GOMAXPROCS as busy loops raise it.
type processors struct{ mu sync.Mutex }

// add raises it, or lowers it to what it was.
func (p *processors) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}
