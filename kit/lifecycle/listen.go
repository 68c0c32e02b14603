package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// listen opens `host:port` or `unix:/path`. setting names the flag that
// changes the address; empty: the caller says in an error what does.
func listen(ctx context.Context, address, setting string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		return listenUnix(ctx, path)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil && setting != "" {
		return nil, ListenError(address, setting, err)
	}
	return listener, err
}

// ListenError explains why address could not be listened on, and names the
// flag that changes it.
func ListenError(address, setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: another process already listens on %s; stop it, or choose another address with --%s", setting, address, setting)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: not allowed to listen on %s; choose a port above 1023 with --%s", setting, address, setting)
	default:
		return fmt.Errorf("%s: cannot listen on %s: %w; choose another address with --%s", setting, address, err, setting)
	}
}

// listenUnix replaces a socket that a killed process left behind; the lock
// on the service's folder says that nobody else uses it.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// loopback tells whether only this machine can reach address.
func loopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// everyAddress tells whether address names no host.
func everyAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "unix:") {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
