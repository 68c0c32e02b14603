package socket

import (
	"syscall"
	"unsafe"
)

// bare tells that the calls below are made.
const bare = true

// receive reads what there is, false where it would have to wait.
func receive(fd uintptr, h *half) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(h.p))), uintptr(len(h.p)))
		switch errno {
		case 0:
			h.n, h.errno = int(n), 0
			received(fd)
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			h.n, h.errno = 0, errno
			return true
		}
	}
}

// send writes what can be written now, false where that is nothing.
func send(fd uintptr, h *half) bool {
	sending(fd)
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(h.p))), uintptr(len(h.p)))
		switch errno {
		case 0:
			h.n, h.errno = int(n), 0
			return true
		case syscall.EAGAIN:
			h.errno = syscall.EAGAIN
			return false
		case syscall.EINTR:
		default:
			h.n, h.errno = 0, errno
			return true
		}
	}
}
