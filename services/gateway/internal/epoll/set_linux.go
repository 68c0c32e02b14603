package epoll

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
)

// Set is the loops. It is safe for concurrent use.
type Set struct {
	config Config
	limits h1.Limits
	loops  []*loop
	next   atomic.Uint32
	closed atomic.Bool
	once   sync.Once
	work   sync.WaitGroup // loops, and look-ups of names

	processors processors
}

// New starts the loops.
func New(config Config) (*Set, error) {
	config.setDefaults()
	if config.Loops == 0 {
		config.Loops = runtime.GOMAXPROCS(0)
	}
	s := &Set{config: config, limits: h1.Limits{Head: config.MaxHeader}}
	for range config.Loops {
		l, err := newLoop(s)
		if err != nil {
			for _, made := range s.loops {
				made.free()
			}
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	for _, l := range s.loops {
		s.work.Go(l.run)
	}
	return s, nil
}

// Adopt gives a connection of plain TCP to a loop, false where that cannot be;
// the connection is then still the caller's. The descriptor is taken over from
// the runtime's poller by a copy, which the loop alone knows.
func (s *Set) Adopt(nc net.Conn) bool {
	tcp, is := nc.(*net.TCPConn)
	if !is || s.closed.Load() {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	fd := -1
	err = raw.Control(func(theirs uintptr) {
		if copied, failed := unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			fd = copied
		}
	})
	if err != nil || fd < 0 {
		return false
	}
	l := s.loops[int(s.next.Add(1))%len(s.loops)]
	if !l.post(message{fd: fd, remote: remote(tcp)}) {
		_ = unix.Close(fd)
		return false
	}
	_ = tcp.Close()
	return true
}

func remote(tcp *net.TCPConn) netip.AddrPort {
	at, is := tcp.RemoteAddr().(*net.TCPAddr)
	if !is {
		return netip.AddrPort{}
	}
	from := at.AddrPort()
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// Counts are the connections of clients that loops have now.
func (s *Set) Counts() engine.LoopCounts {
	var sum engine.LoopCounts
	for _, l := range s.loops {
		sum.Idle += int(l.shown[idle].Load() + l.shown[lingering].Load())
		sum.Heading += int(l.shown[heading].Load())
		sum.Serving += int(l.shown[holding].Load() + l.shown[trying].Load() + l.shown[relaying].Load())
	}
	return sum
}

// Close closes every connection that loops have and waits for the loops.
func (s *Set) Close() {
	s.once.Do(func() {
		s.closed.Store(true)
		for _, l := range s.loops {
			l.rouse()
		}
		s.work.Wait()
	})
}
