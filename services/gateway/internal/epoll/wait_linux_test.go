package epoll

import (
	"runtime"
	"testing"
	"time"
)

// TestLoopsAreCalmOrBusy has a loop become what it hears, and wait as it is.
func TestLoopsAreCalmOrBusy(t *testing.T) {
	s := &Set{}
	s.config.setDefaults()
	processors := runtime.GOMAXPROCS(0)
	l, err := newLoop(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range []struct {
		heard int
		busy  bool
	}{{0, false}, {249, false}, {250, true}, {62, true}, {61, false}, {62, false}, {1000, true}} {
		l.heard = turn.heard
		l.weigh()
		more := runtime.GOMAXPROCS(0) - processors
		if busy := l.file == nil; busy != turn.busy || more == 1 != turn.busy {
			t.Fatalf("after %d events busy is %v with %d processors more, want %v", turn.heard, busy, more, turn.busy)
		}
		for range 2 {
			l.wake()
			if n := l.wait(); n != 1 || l.heard == 0 {
				t.Fatalf("busy %v: %d events, want the one of waking", turn.busy, n)
			}
			l.receive()
		}
		begun := time.Now()
		if n := l.wait(); n != 0 || time.Since(begun) < sweepEvery/2 {
			t.Fatalf("busy %v: %d events after %v, want none until the next sweep", turn.busy, n, time.Since(begun))
		}
	}
	l.end()
	if more := runtime.GOMAXPROCS(0) - processors; more != 0 {
		t.Errorf("%d processors are kept after the end", more)
	}
}

// TestCalmWaitsAllocateNothing: they are those of every plain request of a
// gateway that has few.
func TestCalmWaitsAllocateNothing(t *testing.T) {
	s := &Set{}
	s.config.setDefaults()
	l, err := newLoop(s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.end()
	if n := testing.AllocsPerRun(100, func() {
		_ = l.post(message{do: func() {}})
		l.wait()
		l.receive()
	}); n > 2 { // of post and wake
		t.Errorf("%v allocations for a wait", n)
	}
}
