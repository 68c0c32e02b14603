package urgent_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/kit/urgent"
)

// nice is the calling thread's.
func nice(t *testing.T) int {
	t.Helper()
	answer, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - answer
}

// allowed tells whether the process may prefer a thread.
func allowed() bool {
	ended := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ended <- unix.Setpriority(unix.PRIO_PROCESS, 0, -5) == nil
	}()
	return <-ended
}

func TestUrgentWorkIsPreferredWhileItLasts(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := nice(t)
	want := before
	if allowed() {
		want -= 5
	}
	for range 2 {
		ran := false
		urgent.Do(func() {
			ran = true
			if got := nice(t); got != want {
				t.Errorf("nice is %d, want %d", got, want)
			}
		})
		if !ran {
			t.Fatal("it did not run")
		}
		if got := nice(t); got != before {
			t.Errorf("nice is %d afterwards, was %d", got, before)
		}
	}
}

func TestThreadIsAsBeforeAfterAPanic(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := nice(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		urgent.Do(func() { panic("of the work") })
	}()
	if got := nice(t); got != before {
		t.Errorf("nice is %d, was %d", got, before)
	}
}

// Threads that Go starts meanwhile are not preferred.
func TestOthersAreNot(t *testing.T) {
	before := nice(t)
	urgent.Do(func() {
		const many = 8
		found, free := make(chan int), make(chan struct{})
		for range many {
			go func() {
				runtime.LockOSThread() // each has a thread of its own, most of them a new one
				found <- nice(t)
				<-free
			}()
		}
		for range many {
			if got := <-found; got != before {
				t.Errorf("a thread begins with nice %d, want %d", got, before)
			}
		}
		close(free)
	})
}
