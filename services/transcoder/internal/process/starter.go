package process

import (
	"os/exec"
	"runtime"
)

// starter starts all children from one thread that lives as long as it does.
// Pdeathsig fires when the *thread* that started a child ends, so a child
// started from a thread of the scheduler's dies at random.
type starter struct {
	requests chan startRequest
	done     chan struct{}
}

type startRequest struct {
	cmd   *exec.Cmd
	reply chan startReply
}

type startReply struct {
	group *group
	err   error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		// Without UnlockOSThread the thread ends with this goroutine.
		runtime.LockOSThread()
		for r := range s.requests {
			g, err := startGroup(r.cmd)
			r.reply <- startReply{g, err}
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) (*group, error) {
	reply := make(chan startReply, 1)
	s.requests <- startRequest{cmd, reply}
	r := <-reply
	return r.group, r.err
}

func (s *starter) close() {
	close(s.requests)
	<-s.done
}
