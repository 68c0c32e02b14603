package timeslice

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// turn returns how long a thread's turns are; 0 on systems that do not tell, since
// they cannot change it.
func turn(t *testing.T, thread int) time.Duration {
	t.Helper()
	attributes, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(attributes.Runtime)
}

func TestThreadsTakeShortTurnsButThoseWithLongWork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(self, 0)
	if err != nil {
		t.Fatal(err)
	}
	Long()() // does nothing yet
	want := 700 * time.Microsecond
	usually := time.Duration(before.Runtime)
	if usually == 0 {
		want = 0 // an older system
	}
	defer func() {
		if err := Shorten(usual); err != nil {
			t.Error(err)
		}
	}()
	if err := Shorten(700 * time.Microsecond); err != nil {
		t.Fatal(err)
	}

	after, err := unix.SchedGetAttr(self, 0)
	if err != nil {
		t.Fatal(err)
	}
	if after.Policy != before.Policy || after.Nice != before.Nice || after.Flags != before.Flags {
		t.Errorf("of the thread changed: %+v, was %+v", after, before)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := turn(t, id); got != want {
			t.Errorf("thread %d has turns of %s, want %s", id, got, want)
		}
	}

	const later = 8
	turns, release := make(chan time.Duration), make(chan struct{})
	for range later {
		go func() {
			runtime.LockOSThread() // for good, so that each has another thread
			attributes, err := unix.SchedGetAttr(self, 0)
			if err != nil {
				attributes = &unix.SchedAttr{Runtime: 1}
			}
			turns <- time.Duration(attributes.Runtime)
			<-release
		}()
	}
	for range later {
		if got := <-turns; got != want {
			t.Errorf("a thread started later has turns of %s, want %s", got, want)
		}
	}
	close(release)

	end := Long()
	if got := turn(t, self); got != usually {
		t.Errorf("long work has turns of %s, want %s", got, usually)
	}
	end()
	if got := turn(t, self); got != want {
		t.Errorf("after long work turns are of %s, want %s", got, want)
	}
}
