//go:build !linux

package epoll

import (
	"net"

	"github.com/backlot-video/backlot/services/gateway/internal/engine"
)

// Set is not to be had here.
type Set struct{}

// New fails.
func New(Config) (*Set, error) { return nil, ErrUnsupported }

// Adopt takes no connection.
func (*Set) Adopt(net.Conn) bool { return false }

// Counts are none.
func (*Set) Counts() engine.LoopCounts { return engine.LoopCounts{} }

// Close does nothing.
func (*Set) Close() {}
