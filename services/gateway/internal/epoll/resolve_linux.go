package epoll

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	// resolveEvery is how long the addresses of a name are taken for good.
	resolveEvery = 5 * time.Second
	// resolveTimeout bounds one look-up.
	resolveTimeout = 5 * time.Second
)

// resolved is where an endpoint is: known at once for addresses and unix
// sockets, looked up beside the loop for names.
type resolved struct {
	address string
	unix    *unix.SockaddrUnix
	host    string // a name; empty: it was an address
	port    int
	found   []netip.Addr
	turn    int
	at      int64 // of the last look-up's begin, Unix nanoseconds
	asking  bool
	foreign bool // not for a loop: TLS, or malformed
}

func (r *resolved) begin(e *upstream.Endpoint) {
	network, address, ok := e.TCP()
	r.address = address
	if network == "unix" {
		r.unix, r.address, r.foreign = &unix.SockaddrUnix{Name: address}, "localhost", !ok
		return
	}
	host, port, err := net.SplitHostPort(address)
	number, errPort := strconv.ParseUint(port, 10, 16)
	r.foreign = !ok || err != nil || errPort != nil
	r.port = int(number)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		r.found = []netip.Addr{ip.Unmap()}
		return
	}
	r.host = host
}

// known tells whether there is an address to dial. A name is looked up, and
// again now and then, without the loop waiting for it.
func (r *resolved) known(p *pool) bool {
	if r.foreign {
		return false
	}
	l := p.loop
	if r.host != "" && !r.asking && l.nano-r.at > int64(resolveEvery) {
		r.asking, r.at = true, l.nano
		l.set.work.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
			defer cancel()
			found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", r.host)
			l.post(message{do: func() {
				r.asking = false
				if err == nil && len(found) > 0 {
					r.found = found
				}
			}})
		})
	}
	return r.unix != nil || len(r.found) > 0
}

// next gives the addresses of a name in turns.
func (r *resolved) next() (address unix.Sockaddr, family int) {
	if r.unix != nil {
		return r.unix, unix.AF_UNIX
	}
	r.turn++
	ip := r.found[r.turn%len(r.found)].Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: r.port, Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: r.port, Addr: ip.As16()}, unix.AF_INET6
}
