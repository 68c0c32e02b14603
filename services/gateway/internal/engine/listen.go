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
	shared   atomic.Bool   // another process may have its socket too
	done     chan struct{} // the accept loop has ended
}

// SetListeners opens and closes until exactly these are open. Those that stay
// take their new certificates for the connections that come. Connections of
// those that are closed go on. One that overlaps with one that comes, as
// 127.0.0.1:80 with 0.0.0.0:80, is closed once that is open: no client is refused.
// Where one cannot be opened, nothing changes. One that has been closed still
// takes what waits in its queue, and is waited for, retireTime, where another
// takes its place.
func (s *Server) SetListeners(ctx context.Context, want []Listener) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	coming, leaving := s.plan(want)
	if err := s.awaitRetired(ctx, coming); err != nil {
		return err
	}
	opened, err := s.openAll(ctx, coming, leaving)
	if err != nil {
		return err
	}
	s.begin(opened, want)
	s.retireAll(leaving)
	return nil
}

// plan is what a change opens, and what it closes, by address.
func (s *Server) plan(want []Listener) (coming []Listener, leaving map[string]*listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaving = maps.Clone(s.listeners)
	for _, l := range want {
		delete(leaving, l.Address)
		if s.listeners[l.Address] == nil {
			coming = append(coming, l)
		}
	}
	return coming, leaving
}

// openAll opens all or none.
func (s *Server) openAll(ctx context.Context, coming []Listener, leaving map[string]*listener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	var faults []error
	for _, l := range coming {
		if opened[l.Address] != nil {
			continue
		}
		fresh, err := s.openOne(ctx, l.Address, leaving)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", cmp.Or(l.Field, "listener "+l.Address), err))
			continue
		}
		opened[l.Address] = fresh
	}
	if len(faults) > 0 {
		closeAll(opened)
	}
	return opened, errors.Join(faults...)
}

func (s *Server) openOne(ctx context.Context, wanted string, leaving map[string]*listener) (net.Listener, error) {
	var beside []net.Listener
	for other, l := range leaving {
		if address.Overlap(other, wanted) {
			beside = append(beside, l.Listener)
		}
	}
	if len(beside) == 0 {
		return s.config.Open(ctx, wanted)
	}
	return openBeside(ctx, wanted, beside)
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
func (s *Server) awaitRetired(ctx context.Context, coming []Listener) error {
	s.mu.Lock()
	maps.DeleteFunc(s.retired, func(_ string, l *listener) bool { return l.ended() })
	var closing []*listener
	for _, l := range coming {
		for asked, retired := range s.retired {
			if asked == l.Address || address.Overlap(asked, l.Address) {
				closing = append(closing, retired)
			}
		}
	}
	s.mu.Unlock()
	for _, l := range closing {
		l.endAfter(retireTime)
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
		l.shared.Store(true)
		sockets[asked] = l.Listener
	}
	return sockets
}

const (
	// retireTime is how long a listener that is to be closed takes what waits in
	// its queue.
	retireTime = 20 * time.Millisecond
	// deafTime is that of one that gets no more: from far away it takes a while
	// until a connection that has been begun is there.
	deafTime = time.Second
)

// retire has others get what comes from now on, where the system can do that,
// and ends the accept loop once all is there that has been begun.
func (l *listener) retire() {
	if !l.shared.Load() && deafen(l.Listener) {
		l.endAfter(deafTime)
	} else {
		l.endAfter(retireTime)
	}
}

// endAfter ends the accept loop.
func (l *listener) endAfter(d time.Duration) {
	if able, is := l.Listener.(interface{ SetDeadline(t time.Time) error }); is {
		if able.SetDeadline(time.Now().Add(d)) == nil {
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
