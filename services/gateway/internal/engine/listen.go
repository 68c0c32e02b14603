package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/address"
)

// Listener is an address to serve.
type Listener struct {
	Address string      // host:port
	Field   string      // names the address in errors; empty: `listener` with it
	TLS     *tls.Config // nil: plain
	// Alternative gives the value of Alt-Svc that answers get now, none where
	// it is empty; nil: never any. Only with TLS.
	Alternative func() []byte
}

// listener is one that is open.
type listener struct {
	net.Listener
	settings atomic.Pointer[Listener]
	done     chan struct{} // the accept loop has ended
}

// SetListeners opens and closes until exactly these are open. Those that stay
// take their new certificates for the connections that come. Connections of
// those that are closed go on. One that shares its port with one that comes, as
// 127.0.0.1:80 with 0.0.0.0:80, is closed before: the port is shut for a moment.
// Where one cannot be opened, nothing changes, and one that was closed for it is
// opened again. One that has been closed still takes what waits in its queue, and
// is waited for, retireTime, where another takes its place.
func (s *Server) SetListeners(ctx context.Context, want []Listener) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	next := s.plan(want)
	opened := map[string]net.Listener{}
	err := s.awaitRetired(ctx, want)
	if err == nil {
		err = s.openAll(ctx, opened, next.free)
	}
	if err == nil && len(next.yielding) > 0 {
		s.retireAll(next.yielding)
		if err = s.awaitRetired(ctx, want); err == nil {
			err = s.openAll(ctx, opened, next.blocked)
		}
	}
	if err != nil {
		closeAll(opened)
		return errors.Join(err, s.reopen(ctx, next.yielding))
	}
	s.retireAll(next.leaving)
	s.begin(opened, want)
	return nil
}

// plan is what a change opens and closes.
type plan struct {
	free, blocked     []Listener           // that are to be opened, blocked by those that yield
	leaving, yielding map[string]*listener // that are to be closed, by address
}

func (s *Server) plan(want []Listener) plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := plan{leaving: maps.Clone(s.listeners), yielding: map[string]*listener{}}
	for _, l := range want {
		delete(p.leaving, l.Address)
	}
	for _, l := range want {
		if s.listeners[l.Address] != nil {
			continue
		}
		blocked := false
		for asked, old := range p.leaving {
			if address.Overlap(asked, l.Address) {
				p.yielding[asked], blocked = old, true
			}
		}
		if blocked {
			p.blocked = append(p.blocked, l)
		} else {
			p.free = append(p.free, l)
		}
	}
	return p
}

func (s *Server) openAll(ctx context.Context, opened map[string]net.Listener, want []Listener) error {
	var faults []error
	for _, l := range want {
		if opened[l.Address] != nil {
			continue
		}
		fresh, err := s.config.Open(ctx, l.Address)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", cmp.Or(l.Field, "listener "+l.Address), err))
			continue
		}
		opened[l.Address] = fresh
	}
	return errors.Join(faults...)
}

// begin serves what has been opened, by the settings that are wanted, unless
// the server drains or has ended meanwhile.
func (s *Server) begin(opened map[string]net.Listener, want []Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() || s.draining.Load() {
		closeAll(opened)
		return
	}
	for address, l := range opened {
		s.listeners[address] = &listener{Listener: l, done: make(chan struct{})}
	}
	for _, l := range want {
		if open := s.listeners[l.Address]; open != nil {
			open.settings.Store(&l)
		}
	}
	for address := range opened {
		l := s.listeners[address]
		s.workers.Go(func() { s.acceptAll(l) })
		s.config.Log.Info("listening", "address", l.Addr().String(), "tls", l.settings.Load().TLS != nil)
	}
}

// reopen takes back what a change has closed that came to nothing.
func (s *Server) reopen(ctx context.Context, closed map[string]*listener) error {
	if len(closed) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	var want []Listener
	for asked, l := range closed {
		settings := *l.settings.Load()
		settings.Address = asked
		want = append(want, settings)
	}
	opened := map[string]net.Listener{}
	err := s.awaitRetired(ctx, want)
	if err == nil {
		err = s.openAll(ctx, opened, want)
	}
	s.begin(opened, want)
	return err
}

func closeAll(opened map[string]net.Listener) {
	for _, l := range opened {
		_ = l.Close()
	}
}

// retireAll takes listeners out of the set.
func (s *Server) retireAll(all map[string]*listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, l := range all {
		if s.listeners[address] == l {
			l.retire()
			delete(s.listeners, address)
			s.retired[address] = l
		}
	}
}

// awaitRetired returns when none is open any more that has left the set and
// would keep one of these from being opened. Connections are served meanwhile.
func (s *Server) awaitRetired(ctx context.Context, want []Listener) error {
	s.mu.Lock()
	maps.DeleteFunc(s.retired, func(_ string, l *listener) bool { return l.ended() })
	var closing []*listener
	for _, l := range want {
		for asked, retired := range s.retired {
			if asked == l.Address || address.Overlap(asked, l.Address) {
				closing = append(closing, retired)
			}
		}
	}
	s.mu.Unlock()
	for _, l := range closing {
		select {
		case <-l.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Addresses gives the addresses that are open, by those that were asked for.
func (s *Server) Addresses() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addresses := make(map[string]net.Addr, len(s.listeners))
	for asked, l := range s.listeners {
		addresses[asked] = l.Addr()
	}
	return addresses
}

// Sockets gives the open listeners by address, for a process that takes over.
func (s *Server) Sockets() map[string]net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	sockets := make(map[string]net.Listener, len(s.listeners))
	for asked, l := range s.listeners {
		sockets[asked] = l.Listener
	}
	return sockets
}

// retireTime is how long a listener that is to be closed takes what waits in
// its queue.
const retireTime = 20 * time.Millisecond

// retire ends the accept loop once the queue is empty.
func (l *listener) retire() {
	if d, able := l.Listener.(interface{ SetDeadline(t time.Time) error }); able {
		if d.SetDeadline(time.Now().Add(retireTime)) == nil {
			return
		}
	}
	_ = l.Close()
}

// ended tells whether the accept loop has.
func (l *listener) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// acceptAll serves what a listener brings until it is retired.
func (s *Server) acceptAll(l *listener) {
	defer close(l.done)
	defer func() { _ = l.Close() }()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil && l.settings.Load().TLS == nil && s.delegate(nc):
		case err == nil:
			go s.ServeConn(nc, nil, l.settings.Load())
		case isTimeout(err) || errors.Is(err, net.ErrClosed) || s.ended():
			return
		default: // out of descriptors, mostly
			s.metrics.refused.Inc()
			s.config.Log.Error("a connection cannot be accepted", "err", err)
			if !s.pause(10 * time.Millisecond) {
				return
			}
		}
	}
}

// pause waits, false where the server ends meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}
