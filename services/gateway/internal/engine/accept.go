package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"time"
)

// preface is what a client that knows that we speak HTTP/2 begins with.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// accept finds out what a connection speaks and serves it until it ends.
func (s *Server) accept(nc net.Conn, read []byte, l *Listener) {
	s.metrics.accepted.Inc()
	if l.TLS == nil {
		s.serve(nc, nil, read, nil)
		return
	}
	secure := tls.Server(withRead(nc, read), l.TLS)
	ctx, cancel := context.WithTimeout(s.base, s.config.HandshakeTimeout)
	err := secure.HandshakeContext(ctx)
	cancel()
	if err != nil {
		s.metrics.handshakes.Inc()
		_ = nc.Close()
		return
	}
	state := secure.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		s.handOn(secure, nil, l.Alternative)
		return
	}
	s.serve(secure, &state, nil, l.Alternative)
}

// handOn gives a connection to the server of HTTP/2.
func (s *Server) handOn(nc net.Conn, read []byte, alternative func() []byte) {
	if s.config.HTTP2 == nil {
		_ = nc.Close()
		return
	}
	_ = nc.SetDeadline(time.Time{})
	s.mu.Lock()
	s.foreign[nc] = struct{}{}
	s.mu.Unlock()
	s.config.HTTP2(s.base, nc, read, alternative)
	_ = nc.Close()
	s.mu.Lock()
	delete(s.foreign, nc)
	s.mu.Unlock()
}

// beginsHTTP2 tells whether bytes are the preface, or may become it.
func beginsHTTP2(b []byte) (is, maybe bool) {
	n := min(len(b), len(preface))
	same := bytes.Equal(b[:n], preface[:n])
	return same && n == len(preface), same
}

// withRead is a connection that gives some bytes again first.
func withRead(nc net.Conn, read []byte) net.Conn {
	if len(read) == 0 {
		return nc
	}
	return &rereadConn{Conn: nc, read: bytes.Clone(read)}
}

type rereadConn struct {
	net.Conn
	read []byte
}

// Read implements net.Conn.
func (c *rereadConn) Read(p []byte) (int, error) {
	if len(c.read) > 0 {
		n := copy(p, c.read)
		c.read = c.read[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
