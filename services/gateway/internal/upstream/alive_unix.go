//go:build unix

package upstream

import (
	"errors"
	"net"
	"syscall"
)

// aliveness tells whether a kept connection can be used still: nothing has
// come on it, no end and no bytes that nobody asked for.
type aliveness struct {
	raw   syscall.RawConn // nil: cannot be told
	read  func(fd uintptr)
	alive bool
}

// watch makes ready to look, so that looking allocates nothing.
func (a *aliveness) watch(conn net.Conn) {
	sys, can := conn.(syscall.Conn)
	if !can {
		return
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return
	}
	a.raw = raw
	a.read = func(fd uintptr) {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:])
		a.alive = errors.Is(err, syscall.EAGAIN)
	}
}

// look never waits, and does not mind deadlines. What it may read is lost: the connection is closed then.
func (a *aliveness) look() bool {
	if a.raw == nil {
		return true
	}
	a.alive = false
	return a.raw.Control(a.read) == nil && a.alive
}
