package engine

import (
	"context"
	"errors"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// openBeside opens an address while listeners are open that overlap with it. The
// system lets all have the port that say that they share it. They say so for that
// moment only: nobody else is to get in.
func openBeside(ctx context.Context, address string, others []net.Listener) (net.Listener, error) {
	defer func() {
		for _, other := range others {
			_ = setOption(other, unix.SO_REUSEPORT, 0)
		}
	}()
	for _, other := range others {
		if err := setOption(other, unix.SO_REUSEPORT, 1); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return setRaw(raw, unix.SO_REUSEPORT, 1)
	}}
	fresh, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		err = setOption(fresh, unix.SO_REUSEPORT, 0)
	}
	return fresh, err
}

// deafen has a listener get no more connections but those that have been begun:
// of an address that two are open for, the other one gets what comes. Closing it
// would reset what is in its queue or on its way. So it is bound to an
// interface that does not exist, which nothing comes by.
func deafen(l net.Listener) bool {
	return setOption(l, unix.SO_BINDTOIFINDEX, math.MaxInt32) == nil
}

func setOption(l net.Listener, option, value int) error {
	socket, is := l.(syscall.Conn)
	if !is {
		return errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	return setRaw(raw, option, value)
}

func setRaw(raw syscall.RawConn, option, value int) error {
	var fault error
	err := raw.Control(func(fd uintptr) { fault = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value) })
	return errors.Join(err, fault)
}
