package rpc

import "io"

// logNetpollTo does nothing: Kitex does not use netpoll on Windows.
func logNetpollTo(io.Writer) {}
