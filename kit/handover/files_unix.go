//go:build unix

package handover

import (
	"net"
	"os"
	"runtime"
	"syscall"
)

func supported() error { return nil }

// send sends a message with files.
func send(conn *net.UnixConn, message []byte, files []*os.File) error {
	descriptors := make([]int, len(files))
	for i, f := range files {
		// File.Fd would make the socket blocking, which copies share.
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) { descriptors[i] = int(fd) }); err != nil {
			return err
		}
	}
	// The control message goes with the first byte, so that it is read with it.
	if _, _, err := conn.WriteMsgUnix(message[:1], syscall.UnixRights(descriptors...), nil); err != nil {
		return err
	}
	runtime.KeepAlive(files)
	_, err := conn.Write(message[1:])
	return err
}

// receive reads the beginning of a message, and its files.
func receive(conn *net.UnixConn) (message []byte, files []*os.File, err error) {
	message, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := conn.ReadMsgUnix(message, control)
	if err != nil {
		return nil, nil, err
	}
	parts, err := syscall.ParseSocketControlMessage(control[:oobn])
	if err != nil {
		return nil, nil, err
	}
	for _, part := range parts {
		descriptors, err := syscall.ParseUnixRights(&part)
		if err != nil {
			return nil, files, err
		}
		for _, fd := range descriptors {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return message[:n], files, nil
}
