package engine

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeBytes is asked for as a pipe's size.
	pipeBytes = 1 << 20
	// mostPipes are kept; each holds two descriptors and pages of the kernel's.
	mostPipes = 64

	spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
)

// pipe moves bytes between two connections without the process seeing them.
// Its functions are made once, as raw connections take closures.
type pipe struct {
	read, write int // descriptors
	held        int // bytes inside
	want        int
	moved       int
	err         error

	fill, drain func(fd uintptr) bool
}

// pipes that are empty and unused.
var pipes struct {
	mu   sync.Mutex
	free []*pipe
}

func takePipe() (*pipe, error) {
	pipes.mu.Lock()
	if n := len(pipes.free); n > 0 {
		p := pipes.free[n-1]
		pipes.free = pipes.free[:n-1]
		pipes.mu.Unlock()
		return p, nil
	}
	pipes.mu.Unlock()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeBytes) // smaller serves as well
	p := &pipe{read: ends[0], write: ends[1]}
	p.fill = func(fd uintptr) bool { return p.splice(int(fd), p.write, p.want) }
	p.drain = func(fd uintptr) bool { return p.splice(p.read, int(fd), p.held) }
	return p, nil
}

// splice moves what it can, false where it would have to wait.
func (p *pipe) splice(from, to, n int) bool {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, spliceFlags)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false
		}
		p.moved, p.err = int(moved), err
		return true
	}
}

// give keeps an empty pipe for the next one.
func (p *pipe) give() {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	if p.held == 0 && len(pipes.free) < mostPipes {
		pipes.free = append(pipes.free, p)
		return
	}
	_ = unix.Close(p.read)
	_ = unix.Close(p.write)
}

// SpliceFrom implements exchange.Splicer.
func (c *conn) SpliceFrom(source *net.TCPConn, n int64) (int64, error) {
	a := &c.answer
	if c.tcp == nil || a.chunked || a.noBody || !a.headed || a.left >= 0 && n > a.left {
		return 0, errors.ErrUnsupported
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	moved, sourceErr, err := move(c.tcp, source, n, nil, c.stallBy)
	if a.left >= 0 {
		a.left -= moved
	}
	c.x.Sent += moved
	if err != nil {
		return moved, c.wrote(err)
	}
	return moved, sourceErr
}

// SpliceTo implements exchange.Splicer.
func (c *conn) SpliceTo(target *net.TCPConn, n int64) (int64, error) {
	b := &c.request
	if c.tcp == nil || b.chunked || n > b.left {
		return 0, errors.ErrUnsupported
	}
	if err := c.goOn(); err != nil {
		return 0, c.bodyFailed(err)
	}
	total := int64(0)
	if c.r < c.w {
		ahead := c.in[c.r:min(int64(c.w), int64(c.r)+n)]
		wrote, err := target.Write(ahead)
		c.r += wrote
		total = int64(wrote)
		if err != nil {
			return c.took(total), err
		}
	}
	timeout := func() { c.setReadBy(time.Now().Add(c.server.config.BodyTimeout).UnixNano()) }
	moved, sourceErr, err := move(target, c.tcp, n-total, timeout, nil)
	c.took(total + moved)
	if sourceErr != nil {
		return total + moved, c.bodyFailed(sourceErr)
	}
	return total + moved, err
}

func (c *conn) took(n int64) int64 {
	b := &c.request
	b.left -= n
	b.pending.Store(b.left)
	b.done = b.left == 0
	c.x.Received += n
	return n
}

// move splices n bytes. beforeRead and beforeWrite put deadlines in force. All
// that was taken from the source has reached the target, unless that failed.
func move(target, source *net.TCPConn, n int64, beforeRead, beforeWrite func()) (moved int64, sourceErr, targetErr error) {
	if n == 0 {
		return 0, nil, nil
	}
	p, err := takePipe()
	if err != nil {
		return 0, err, nil
	}
	defer p.give()
	from, sourceErr := source.SyscallConn()
	to, targetErr := target.SyscallConn()
	if sourceErr != nil || targetErr != nil {
		return 0, sourceErr, targetErr
	}
	for moved < n {
		if beforeRead != nil {
			beforeRead()
		}
		p.want = int(min(n-moved, pipeBytes))
		if sourceErr = p.take(from); sourceErr != nil {
			return moved, sourceErr, nil
		}
		for p.held > 0 {
			if beforeWrite != nil {
				beforeWrite()
			}
			if targetErr = p.pass(to); targetErr != nil {
				return moved, nil, targetErr
			}
			moved += int64(p.moved)
		}
	}
	return moved, nil, nil
}

// take fills the pipe with what there is, waiting for something.
func (p *pipe) take(from syscall.RawConn) error {
	p.moved, p.err = 0, nil
	if err := from.Read(p.fill); err != nil {
		return err
	}
	if p.err != nil {
		return p.err
	}
	if p.moved == 0 {
		return io.ErrUnexpectedEOF
	}
	p.held = p.moved
	return nil
}

// pass empties the pipe as far as the target takes it.
func (p *pipe) pass(to syscall.RawConn) error {
	p.moved, p.err = 0, nil
	if err := to.Write(p.drain); err != nil {
		return err
	}
	if p.err != nil {
		return p.err
	}
	p.held -= p.moved
	return nil
}

// readEnded tells that the other side sends no more.
func readEnded(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
