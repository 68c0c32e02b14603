package epoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls here are on descriptors that do not block, and return at once, so
// the scheduler is not told of them: that costs more than the call.

// receive reads from a socket: recvfrom(2) does without what read(2) does for
// files, a tenth of its time.
func receive(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if errno != syscall.EINTR {
			return count(n, errno), errno
		}
	}
}

func read(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != syscall.EINTR {
			return count(n, errno), errno
		}
	}
}

// write sends without SIGPIPE.
func write(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return count(n, errno), errno
		}
	}
}

// writeBoth sends a and then b in one call.
func writeBoth(fd int, a, b []byte) (int, syscall.Errno) {
	if len(b) == 0 {
		return write(fd, a)
	}
	vectors := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	vectors[0].SetLen(len(a))
	vectors[1].SetLen(len(b))
	header := unix.Msghdr{Iov: &vectors[0]}
	header.SetIovlen(2)
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&header)), unix.MSG_NOSIGNAL)
		if errno != syscall.EINTR {
			return count(n, errno), errno
		}
	}
}

func splice(from, to, n int) (int, syscall.Errno) {
	for {
		moved, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno != syscall.EINTR {
			return count(moved, errno), errno
		}
	}
}

func count(n uintptr, errno syscall.Errno) int {
	if errno != 0 {
		return 0
	}
	return int(n)
}

// waitBriefly waits for events for at most a millisecond, in which the
// goroutine keeps its processor. A signal, such as the scheduler's to stop the
// world, ends it.
func waitBriefly(epoll int, events []unix.EpollEvent, ms int) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(ms), 0, 0)
	return count(n, errno)
}

// socketFault is the pending error of a socket, such as of its connecting.
func socketFault(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err
}
