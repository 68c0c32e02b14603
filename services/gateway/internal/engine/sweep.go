package engine

import (
	"context"
	"net"
	"syscall"
	"time"
)

const (
	// sweepEvery is how often connections are looked at.
	sweepEvery = 250 * time.Millisecond
	// goneAfter is how long an exchange has to last before it is asked whether
	// its client is still there. A client that has closed its side only is
	// served until then.
	goneAfter = time.Second
	// idleGrace is how long a drain waits for the next request of a connection
	// that is idle: it then gets an answer that ends the connection, rather
	// than a reset.
	idleGrace = time.Second
)

// sweep looks at all connections until the server is closed.
func (s *Server) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closed:
			return
		case now := <-ticker.C:
			s.tick.Store(now.UnixNano())
			s.look(now)
		}
	}
}

func (s *Server) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	endIdle := s.draining.Load() && now.After(s.idleBy)
	since := now.Add(-goneAfter).UnixNano()
	for c := range s.conns {
		switch phase(c.phase.Load()) { //nolint:exhaustive // others have deadlines of their own
		case idle:
			if endIdle {
				c.interrupt()
			}
		case serving:
			if c.since.Load() < since && hungUp(c.net) {
				c.cancel()
			}
		}
	}
}

// hungUp tells that the other side has closed the connection, or its half.
func hungUp(nc net.Conn) bool {
	if wrapper, wraps := nc.(interface{ NetConn() net.Conn }); wraps {
		nc = wrapper.NetConn()
	}
	if reread, is := nc.(*rereadConn); is {
		nc = reread.Conn
	}
	raw, able := nc.(syscall.Conn)
	if !able {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	return control.Control(func(fd uintptr) { gone = readEnded(fd) }) != nil || gone
}

func (s *Server) track(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	if s.ended() { // after Close has closed those it found
		_ = c.net.Close()
	}
}

func (s *Server) untrack(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Drain closes the listeners and lets what is under way end: answers end
// their connections, idle connections are closed after a moment, long streams
// may go on until ctx ends. It returns what kept it, if ctx ended first.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.idleBy = time.Now().Add(idleGrace)
	s.draining.Store(true)
	for address, l := range s.listeners {
		l.endAfter(retireTime)
		delete(s.listeners, address)
	}
	s.mu.Unlock()
	ticker := time.NewTicker(sweepEvery / 5)
	defer ticker.Stop()
	for s.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// Close closes everything at once and waits for the accept loops.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.closed)
		s.cut()
		s.mu.Lock()
		for address, l := range s.listeners {
			_ = l.Close()
			delete(s.listeners, address)
		}
		for _, l := range s.retired {
			_ = l.Close()
		}
		for c := range s.conns {
			_ = c.net.Close()
		}
		for nc := range s.foreign {
			_ = nc.Close()
		}
		s.mu.Unlock()
	})
	s.workers.Wait()
	for s.open.Load() > 0 {
		<-time.After(time.Millisecond)
	}
}
