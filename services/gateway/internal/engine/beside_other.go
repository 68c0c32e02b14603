//go:build !linux

package engine

import (
	"context"
	"net"
)

// openBeside opens an address while listeners are open that overlap with it,
// which other systems than Linux allow anyway.
func openBeside(ctx context.Context, address string, _ []net.Listener) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// deafen is for Linux: elsewhere a listener gets connections until it is closed.
func deafen(net.Listener) bool { return false }
