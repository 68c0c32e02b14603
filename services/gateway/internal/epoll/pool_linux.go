package epoll

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

var (
	// errElsewhere: the engine has to make the connection, or wait for one.
	errElsewhere      = errors.New("no connection for a loop")
	errConnectTimeout = errors.New("no connection in time")
)

// pool is the connections that a loop has to an endpoint.
type pool struct {
	loop           *loop
	endpoint       *upstream.Endpoint
	cluster        *upstream.Cluster // whose settings these are
	name           resolved
	host           []byte // for requests without an authority
	idle           []*link
	open           int // connections, idle or not
	mostIdle       int
	mostUses       int
	idleTime       time.Duration
	connectTimeout time.Duration
}

// link is a connection to an endpoint.
type link struct {
	socket
	pool       *pool
	client     *client // whose exchange it carries; nil: it is idle
	uses       int     // requests that went over it before
	since      int64   // idle since, Unix nanoseconds
	connecting bool
}

// pool finds the pool of an endpoint, with the settings of its cluster.
func (l *loop) pool(e *upstream.Endpoint, c *upstream.Cluster) *pool {
	p := l.pools[e]
	if p == nil {
		p = &pool{loop: l, endpoint: e}
		p.name.begin(e)
		p.host = []byte(p.name.address)
		l.pools[e] = p
	}
	if p.cluster != c {
		p.cluster = c
		p.settle(c.Settings())
	}
	return p
}

// settle takes the settings that the cluster has now.
func (p *pool) settle(c *edge.Cluster) {
	loops := len(p.loop.set.loops)
	p.mostIdle = orDefault(c.Pool.MaxIdle, edge.DefaultMaxIdle)/loops + 1
	p.mostUses = c.Pool.MaxUses
	p.idleTime = orDefault(c.Pool.IdleTimeout, edge.DefaultPoolIdle)
	p.connectTimeout = orDefault(c.ConnectTimeout, edge.DefaultConnectTimeout)
}

func orDefault[T int | time.Duration](value, usual T) T {
	if value == 0 {
		return usual
	}
	return value
}

// take gives a kept connection, the one used last, or begins a new one. sure:
// the request cannot be sent again, so a kept connection is asked first whether
// it has been closed in this moment.
func (p *pool) take(sure bool) (k *link, dialled bool, err error) {
	for n := len(p.idle); n > 0; n = len(p.idle) {
		k = p.idle[n-1]
		p.idle = p.idle[:n-1]
		if !k.ended && !k.broken && !k.readable && !(sure && k.stale()) {
			return k, false, nil
		}
		k.close()
	}
	if !p.name.known(p) {
		return nil, false, errElsewhere
	}
	if !p.endpoint.Reserve() {
		return nil, false, errElsewhere
	}
	k, err = p.dial()
	if err != nil {
		p.endpoint.Unreserve()
		p.endpoint.CountDial(false)
		return nil, true, err
	}
	return k, true, nil
}

// stale tells that there is something to be read, if only the end.
func (k *link) stale() bool {
	var one [1]byte
	_, _, err := unix.Recvfrom(k.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err != unix.EAGAIN
}

// dial begins a connection.
func (p *pool) dial() (*link, error) {
	address, family := p.name.next()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	k := &link{socket: socket{fd: fd}, pool: p}
	switch err = unix.Connect(fd, address); {
	case err == nil:
		k.writable = true
	case errors.Is(err, unix.EINPROGRESS):
		err = nil
	}
	k.connecting = true
	if err == nil {
		err = p.loop.table.add(&k.socket, nil, k)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p.open++
	return k, nil
}

// run goes on with the exchange that the connection carries. One that is idle
// and hears something has been closed by the other side, or is out of step.
func (k *link) run() {
	if k.client != nil {
		k.client.run()
		return
	}
	if k.readable || k.ended || k.broken {
		k.pool.forget(k)
		k.close()
	}
}

// forget takes a connection out of the idle ones.
func (p *pool) forget(k *link) {
	for i := range p.idle {
		if p.idle[i] == k {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// keep gives a connection back, whose exchange is over.
func (k *link) keep() {
	p := k.pool
	k.client = nil
	k.uses++
	if p.endpoint.Wanted() || len(p.idle) >= p.mostIdle || p.mostUses > 0 && k.uses >= p.mostUses {
		k.close()
		return
	}
	if k.readable && k.stale() { // the last read may not have seen that it was the last
		k.close()
		return
	}
	k.readable = false
	k.since = p.loop.nano
	p.idle = append(p.idle, k)
}

// close closes a connection that is not among the idle ones.
func (k *link) close() {
	if k.fd < 0 {
		return
	}
	k.client = nil
	k.pool.loop.table.close(&k.socket)
	k.pool.open--
	k.pool.endpoint.Unreserve()
}

// sweep closes connections that are idle for too long, or not wanted. A pool
// of an endpoint that no configuration has any more goes when it is empty.
func (p *pool) sweep() {
	unwanted := p.endpoint.Wanted()
	old := p.loop.nano - int64(p.idleTime)
	for len(p.idle) > 0 && (unwanted || p.idle[0].since < old) {
		k := p.idle[0]
		p.idle = p.idle[1:]
		k.close()
	}
	select {
	case <-p.endpoint.Retired():
		if p.open == 0 {
			delete(p.loop.pools, p.endpoint)
		}
	default:
	}
}

// close closes the idle connections; the loop has ended the others.
func (p *pool) close() {
	for _, k := range p.idle {
		k.close()
	}
	p.idle = nil
}
