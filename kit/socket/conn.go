package socket

import (
	"context"
	"net"
)

// Conn is a net.Conn that reads and writes as Socket does, for who wants a
// net.Conn, such as an http.Transport. One goroutine at a time reads, and one
// writes.
type Conn struct {
	net.Conn
	socket Socket
}

// NewConn returns a Conn on a connection, which is closed with it.
func NewConn(conn net.Conn) *Conn {
	c := &Conn{Conn: conn}
	c.socket.Open(conn)
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.socket.Read(p) }

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.socket.Write(p) }

// Dial connects by a dialer. It is for an http.Transport.
func Dial(ctx context.Context, dialer *net.Dialer, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}
