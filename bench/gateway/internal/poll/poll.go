//go:build linux

// Package poll is epoll for the benchmark's own programs, which have to cost
// little beside what they measure: one thread, non-blocking sockets, level
// triggered. It knows nothing of protocols.
package poll

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller waits for sockets. It belongs to one goroutine.
type Poller struct {
	fd     int
	events [256]unix.EpollEvent
}

// New returns a Poller.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Poller{fd: fd}, nil
}

// Add watches a socket, for room to write too where that is asked.
func (p *Poller) Add(fd int, write bool) error { return p.control(unix.EPOLL_CTL_ADD, fd, write) }

// Change watches a socket in another way.
func (p *Poller) Change(fd int, write bool) error { return p.control(unix.EPOLL_CTL_MOD, fd, write) }

func (p *Poller) control(op, fd int, write bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if write {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.fd, op, fd, &event)
}

// Wait returns sockets that can be read or written, none after so many
// milliseconds (-1: never). The slice is good until the next call.
func (p *Poller) Wait(milliseconds int) ([]unix.EpollEvent, error) {
	runtime.Gosched() // or it would be preempted by signals, as one that never lets go
	ready, _, fault := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if fault == 0 && ready > 0 {
		return p.events[:ready], nil
	}
	for {
		n, err := unix.EpollWait(p.fd, p.events[:], milliseconds)
		if !errors.Is(err, unix.EINTR) {
			return p.events[:max(n, 0)], err
		}
	}
}

// Read and Write are of a socket that does not block. The scheduler is not told:
// it has nothing else to run, and telling it costs a tenth of such a call.
func Read(fd int, b []byte) (int, error) { return call(unix.SYS_READ, fd, b) }

// Write writes b, which is not empty.
func Write(fd int, b []byte) (int, error) { return call(unix.SYS_WRITE, fd, b) }

func call(number uintptr, fd int, b []byte) (int, error) {
	n, _, fault := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if fault != 0 {
		return -1, fault
	}
	return int(n), nil
}

// Listen returns a listening socket.
func Listen(address string) (int, error) {
	at, err := socketAddress(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, at), unix.Listen(fd, 4096),
	); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// Accept takes a connection; -1 where there is none.
func Accept(listener int) (int, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ECONNABORTED) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

// Dial opens a connection.
func Dial(address string) (int, error) {
	at, err := socketAddress(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := errors.Join(
		unix.Connect(fd, at), unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
	); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func socketAddress(address string) (*unix.SockaddrInet4, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("address %q: must be IPv4:port", address)
	}
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, nil
}
