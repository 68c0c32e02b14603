//go:build !windows

package rpc

import (
	"io"

	"github.com/cloudwego/netpoll"
)

// logNetpollTo leads what netpoll logs to w.
func logNetpollTo(w io.Writer) { netpoll.SetLoggerOutput(w) }
