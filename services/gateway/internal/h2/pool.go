package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// pool is the connections to one endpoint.
type pool struct {
	transport *Transport
	endpoint  *upstream.Endpoint

	mu       sync.Mutex
	conns    []*upstreamConn
	dialling chan struct{} // closed when the one who dials is done; nil: nobody does
	retired  bool
}

// conn returns a connection that had room just now, a new one where there was
// none. Only one is dialled at a time: who comes meanwhile waits for it.
func (p *pool) conn(ctx context.Context) (*upstreamConn, error) {
	for {
		p.mu.Lock()
		for _, c := range p.conns {
			if c.hasRoom() {
				p.mu.Unlock()
				return c, nil
			}
		}
		if dialling := p.dialling; dialling != nil {
			p.mu.Unlock()
			select {
			case <-dialling:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			continue
		}
		mine := make(chan struct{})
		p.dialling = mine
		p.mu.Unlock()
		c, err := p.dial(ctx)
		p.mu.Lock()
		p.dialling = nil
		if err == nil {
			p.conns = append(p.conns, c)
		}
		retired := p.retired
		p.mu.Unlock()
		close(mine)
		if err != nil {
			return nil, err
		}
		p.transport.work.Go(c.run)
		if retired {
			defer c.retire()
		}
		return c, nil
	}
}

var errNotHTTP2 = errors.New("the endpoint does not speak HTTP/2 over TLS")

func (p *pool) dial(ctx context.Context) (*upstreamConn, error) {
	nc, err := p.endpoint.Dial(ctx, "h2")
	if err != nil {
		return nil, err
	}
	if secure, is := nc.Conn.(*tls.Conn); is && secure.ConnectionState().NegotiatedProtocol != "h2" {
		_ = nc.Close()
		return nil, &upstream.DialError{Address: p.endpoint.Address(), Err: errNotHTTP2}
	}
	return newUpstreamConn(p, &shared{Conn: nc.Conn, lent: nc}), nil
}

// shared is a connection that several goroutines use and may close, which an
// upstream.Conn allows to one.
type shared struct {
	net.Conn
	lent *upstream.Conn
	once sync.Once
}

// Close implements net.Conn.
func (s *shared) Close() error {
	s.once.Do(func() { _ = s.lent.Close() })
	return nil
}

// forget takes a connection out that has ended or takes no more calls.
func (p *pool) forget(c *upstreamConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(other *upstreamConn) bool { return other == c })
}

// watch lets the connections end with their last call when the endpoint is
// in no configuration any more, and at once with the transport.
func (p *pool) watch() {
	t := p.transport
	select {
	case <-p.endpoint.Retired():
		for _, c := range p.retire() {
			c.retire()
		}
		t.mu.Lock()
		delete(t.pools, p.endpoint)
		t.mu.Unlock()
	case <-t.done:
	}
	<-t.done
	for _, c := range p.retire() {
		_ = c.net.Close()
	}
}

func (p *pool) retire() []*upstreamConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	return slices.Clone(p.conns)
}
