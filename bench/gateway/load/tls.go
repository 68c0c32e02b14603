//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/backlot-video/backlot/bench/gateway/internal/poll"
)

// shared is a window that many goroutines count in.
type shared struct {
	mu     sync.Mutex
	window *window
	closed bool
	fault  error
	end    context.CancelFunc
}

// done counts an answer, and tells whether there is more to ask.
func (s *shared) done(asked time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.closed, s.fault = s.window.done(asked, time.Now()); s.closed || s.fault != nil {
		s.closed = true
		s.end()
	}
	return !s.closed
}

// fail ends the run, unless it has ended.
func (s *shared) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && err != nil {
		s.closed, s.fault = true, err
		s.end()
	}
}

// connections runs one function for each connection until the window closes.
func connections(s *settings, protocol string, each func(*tls.Conn, *shared) error) (*Result, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := &shared{window: newWindow(s), end: cancel}
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13} //nolint:gosec // loopback
	dialer := &tls.Dialer{Config: config}
	var open []*tls.Conn
	for range s.connections {
		conn, err := dialer.DialContext(ctx, "tcp", s.address)
		if err != nil {
			return nil, err
		}
		open = append(open, conn.(*tls.Conn))
	}
	all.window = newWindow(s) // handshakes do not count
	var running sync.WaitGroup
	for _, conn := range open {
		running.Go(func() { all.fail(each(conn, all)) })
	}
	<-ctx.Done()
	result, err := all.window.result()
	for _, conn := range open {
		_ = conn.NetConn().Close() // whatever it is in the middle of
	}
	running.Wait()
	if all.fault != nil {
		return nil, all.fault
	}
	return result, err
}

// overTLS is HTTP/1.1 over TLS.
func overTLS(s *settings) (*Result, error) {
	request, want := s.request(), poll.Body(s.size)
	return connections(s, "http/1.1", func(conn *tls.Conn, all *shared) error {
		a, buffer := answer{want: want}, make([]byte, 64<<10)
		for more := true; more; {
			asked := time.Now()
			if _, err := conn.Write(request); err != nil {
				return err
			}
			for whole := false; !whole; {
				n, err := conn.Read(buffer)
				if err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
					return err
				}
				if whole, err = a.take(buffer[:n]); err != nil {
					return err
				}
			}
			more = all.done(asked)
		}
		return nil
	})
}
