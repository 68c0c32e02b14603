//go:build !linux

package engine

import (
	"errors"
	"net"
)

// SpliceFrom implements exchange.Splicer.
func (c *conn) SpliceFrom(*net.TCPConn, int64) (int64, error) { return 0, errors.ErrUnsupported }

// SpliceTo implements exchange.Splicer.
func (c *conn) SpliceTo(*net.TCPConn, int64) (int64, error) { return 0, errors.ErrUnsupported }

// readEnded is not known here: a client that has gone is noticed by writing.
func readEnded(uintptr) bool { return false }
