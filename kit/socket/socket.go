// Package socket reads and writes stream sockets by bare system calls. A socket
// that does not block needs none of what the runtime does around calls that
// may, which is a good part of what a small read or write costs: a process
// that has nothing else to do wakes a thread of the runtime's for each of them.
//
//	socket.go  Socket: reads and writes, for who drives a connection
//	conn.go    Conn: the same as a net.Conn
//	bare_*.go  the calls
//	race_*.go, norace_*.go  what the detector of data races is told of them
//
// The sockets stay net's: deadlines, closing and waiting are the runtime's, and
// both ways of reading and writing may be mixed. It is for Linux; elsewhere,
// and for TLS, Socket does what net does.
package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Socket is a connection. It is used by one goroutine that reads and one that
// writes. Its functions are made once, so that calls allocate nothing.
type Socket struct {
	conn net.Conn
	raw  syscall.RawConn // nil: net does it

	in, out    half
	read       func(fd uintptr) bool
	write      func(fd uintptr) bool
	writeFirst func(fd uintptr) bool
	pending    bool // writeFirst is to write
}

// half is one direction's call.
type half struct {
	p     []byte
	n     int
	errno syscall.Errno
}

// Open makes s work on a connection.
func (s *Socket) Open(conn net.Conn) {
	s.conn, s.raw = conn, nil
	if !bare {
		return
	}
	sys, able := conn.(syscall.Conn)
	if !able {
		return
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return
	}
	s.raw = raw
	if s.read == nil {
		s.read = func(fd uintptr) bool { return receive(fd, &s.in) }
		s.write = func(fd uintptr) bool { return send(fd, &s.out) }
		s.writeFirst = func(fd uintptr) bool {
			if s.pending {
				s.pending = false
				if !send(fd, &s.out) || s.out.errno != 0 || s.out.n < len(s.out.p) {
					return true
				}
				return false
			}
			return receive(fd, &s.in)
		}
	}
}

// Opened tells whether Open was called.
func (s *Socket) Opened() bool { return s.conn != nil }

// Read implements io.Reader.
func (s *Socket) Read(p []byte) (int, error) {
	if s.raw == nil || len(p) == 0 {
		return s.conn.Read(p)
	}
	s.in = half{p: p}
	err := s.raw.Read(s.read)
	return s.in.read(err)
}

// Write implements io.Writer.
func (s *Socket) Write(p []byte) (int, error) {
	if s.raw == nil || len(p) == 0 {
		return s.conn.Write(p)
	}
	for wrote := 0; ; {
		s.out = half{p: p[wrote:]}
		err := s.raw.Write(s.write)
		s.out.p = nil
		if err == nil && s.out.errno != 0 {
			err = os.NewSyscallError("write", s.out.errno)
		}
		wrote += s.out.n
		if err != nil || wrote == len(p) {
			return wrote, err
		}
	}
}

// WriteThenRead writes out, waits for what comes after that, and reads it. It
// is for a connection on which nothing can have come before: what came is then
// not looked for. wrote is how much was written: where that is less than all,
// nothing was read.
func (s *Socket) WriteThenRead(out, p []byte) (n, wrote int, err error) {
	if s.raw == nil {
		if wrote, err = s.conn.Write(out); err != nil {
			return 0, wrote, err
		}
		n, err = s.conn.Read(p)
		return n, wrote, err
	}
	s.out, s.in, s.pending = half{p: out}, half{p: p}, true
	err = s.raw.Read(s.writeFirst)
	if s.pending { // a deadline that had passed already
		s.pending = false
		return 0, 0, err
	}
	wrote, s.out.p = s.out.n, nil
	switch {
	case s.out.errno != 0 && s.out.errno != syscall.EAGAIN:
		return 0, wrote, os.NewSyscallError("write", s.out.errno)
	case wrote < len(out):
		return 0, wrote, nil
	}
	n, err = s.in.read(err)
	return n, wrote, err
}

// read is the result of a call that has read.
func (h *half) read(err error) (int, error) {
	h.p = nil
	switch {
	case err != nil:
		return 0, err
	case h.errno != 0:
		return 0, os.NewSyscallError("read", h.errno)
	case h.n == 0:
		return 0, io.EOF
	}
	return h.n, nil
}
