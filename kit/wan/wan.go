// Package wan is a network between members of a cluster on one machine, for
// tests and measurements: it delays, stalls and cuts what one member sends to
// another, each direction by itself.
//
//	wan.go   Network: members, links, what is done to them
//	pipe.go  one connection
//
// Each member is reached at an address of the network's, behind which it
// listens. Who dials is told by the header that etcd's peers send first
// (X-Server-From), so peers must talk without TLS. All methods are safe for
// concurrent use.
package wan

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Link is how bytes travel in one direction.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // added at random, up to this; order is kept
}

// path is from one member to another, by name; an empty name is anybody.
type path struct{ from, to string }

// Network has members behind addresses of its own.
type Network struct {
	mu       sync.Mutex
	random   *rand.Rand
	names    map[string]string // of members, by id as etcd writes it
	link     Link
	cut      map[path]bool
	stalled  time.Time // nothing moves before
	pipes    map[*pipe]bool
	fronts   []net.Listener
	closed   bool
	carrying sync.WaitGroup
}

// New makes a network whose links are all alike.
func New(seed uint64, link Link) *Network {
	return &Network{
		random: rand.New(rand.NewPCG(seed, 1)), names: map[string]string{}, link: link,
		cut: map[path]bool{}, pipes: map[*pipe]bool{},
	}
}

// Front opens an address at which the member that listens at behind is
// reached.
func (n *Network) Front(ctx context.Context, member, behind string) (address string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	n.fronts = append(n.fronts, listener)
	n.mu.Unlock()
	n.carrying.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n.carrying.Go(func() { n.carry(conn, member, behind) })
		}
	})
	return listener.Addr().String(), nil
}

// Know tells the name of a member's id.
func (n *Network) Know(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[id] = name
}

// SetLink changes all links.
func (n *Network) SetLink(link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link = link
}

// Stall lets nothing move for a while; then everything goes on.
func (n *Network) Stall(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stalled = time.Now().Add(d)
}

// Cut drops what from sends to to, silently.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[path{from, to}] = true
}

// Isolate cuts a member off from the others, both ways.
func (n *Network) Isolate(member string, others ...string) {
	for _, other := range others {
		n.Cut(member, other)
		n.Cut(other, member)
	}
}

// Heal ends all cuts. Connections that were cut are closed, as their bytes are
// lost.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	for p := range n.pipes {
		if p.lost {
			p.close()
		}
	}
}

// Close ends everything and waits for it.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	var faults []error
	for _, front := range n.fronts {
		faults = append(faults, front.Close())
	}
	for p := range n.pipes {
		p.close()
	}
	n.mu.Unlock()
	n.carrying.Wait()
	return errors.Join(faults...)
}

// due is when bytes that leave now arrive; false: never.
func (n *Network) due(p *pipe, back bool) (time.Time, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := n.names[p.from]
	way := path{from, p.to}
	if back {
		way = path{p.to, from}
	}
	if n.cut[way] {
		p.lost = true
	}
	if p.lost {
		return time.Time{}, false
	}
	at := time.Now().Add(n.link.Delay)
	if n.link.Jitter > 0 {
		at = at.Add(time.Duration(n.random.Int64N(int64(n.link.Jitter))))
	}
	if at.Before(n.stalled) {
		at = n.stalled
	}
	return at, true
}
