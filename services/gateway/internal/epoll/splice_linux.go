package epoll

import "golang.org/x/sys/unix"

const (
	// spliceFrom is how much of a body has to be left for the kernel to move
	// it; below, copying is cheaper.
	spliceFrom = 32 << 10
	// pipeBytes is asked for as a pipe's size.
	pipeBytes = 512 << 10
	// batchBytes have to have come of a large body before the loop is woken
	// for it: woken for each packet, endpoint, proxy and client take turns.
	batchBytes = 128 << 10
	// batchFrom is how much has to be left for that.
	batchFrom = 1 << 20
	// mostPipes are kept by a loop; each holds two descriptors.
	mostPipes = 64
)

// pipe is what splice moves through.
type pipe struct {
	read, write int
	held        int  // bytes inside
	batched     bool // the socket that fills it waits for batchBytes
	filled      bool // something has come since hurry looked
}

func (l *loop) takePipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	var ends [2]int
	if unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeBytes) // a smaller one serves as well
	return &pipe{read: ends[0], write: ends[1]}
}

// givePipe keeps an empty pipe; what is left in another is lost with it.
func (l *loop) givePipe(p *pipe) {
	if p.held == 0 && len(l.pipes) < mostPipes {
		p.batched, p.filled = false, false
		l.pipes = append(l.pipes, p)
		return
	}
	p.close()
}

func (p *pipe) close() {
	_ = unix.Close(p.read)
	_ = unix.Close(p.write)
}

// fill moves up to n bytes from a socket. over: it has ended or failed.
func (p *pipe) fill(from *socket, n int64) (over bool) {
	moved, errno := splice(from.fd, p.write, int(min(n, pipeBytes)))
	switch {
	case errno == unix.EAGAIN:
		if p.held == 0 { // else it may be the pipe that is full
			from.readable = false
		}
	case errno != 0:
		from.broken = true
		return true
	case moved == 0:
		from.ended = true
		return true
	}
	p.held += moved
	p.filled = true
	if p.batched && n-int64(moved) < batchBytes {
		p.batch(from, false)
	}
	return false
}

// batch has the loop woken for batchBytes of a socket, or for anything.
func (p *pipe) batch(from *socket, on bool) {
	least := 1
	if on {
		least = batchBytes
	}
	if unix.SetsockoptInt(from.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, least) == nil {
		p.batched = on
	}
}

// drain moves what is inside to a socket.
func (p *pipe) drain(to *socket) error {
	moved, errno := splice(p.read, to.fd, p.held)
	switch {
	case errno == unix.EAGAIN:
		to.writable = false
	case errno != 0:
		to.broken = true
		return errno
	}
	p.held -= moved
	return nil
}
