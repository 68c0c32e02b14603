package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync/atomic"
	"time"
)

// Listener is an address to serve.
type Listener struct {
	Address string      // host:port
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
// those that are closed go on. Where one cannot be opened, nothing changes. One
// that was closed a moment ago, and still takes what waits in its queue, is
// waited for: retireTime, when it comes back.
func (s *Server) SetListeners(ctx context.Context, want []Listener) error {
	if err := s.awaitRetired(ctx, want); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := map[string]net.Listener{}
	wanted := map[string]Listener{}
	var faults []error
	for _, l := range want {
		wanted[l.Address] = l
		if s.listeners[l.Address] != nil || opened[l.Address] != nil {
			continue
		}
		fresh, err := s.config.Open(ctx, l.Address)
		if err != nil {
			faults = append(faults, fmt.Errorf("listener %s: %w", l.Address, err))
			continue
		}
		opened[l.Address] = fresh
	}
	if len(faults) > 0 {
		for _, l := range opened {
			_ = l.Close()
		}
		return errors.Join(faults...)
	}
	for address, l := range s.listeners {
		if _, stays := wanted[address]; !stays {
			l.retire()
			delete(s.listeners, address)
			s.retired[address] = l
		}
	}
	for address, l := range opened {
		s.listeners[address] = &listener{Listener: l, done: make(chan struct{})}
	}
	for address, l := range wanted {
		s.listeners[address].settings.Store(&l)
	}
	for address := range opened {
		l := s.listeners[address]
		s.workers.Go(func() { s.acceptAll(l) })
		s.config.Log.Info("listening", "address", l.Addr().String(), "tls", l.settings.Load().TLS != nil)
	}
	return nil
}

// awaitRetired returns when none of the addresses is open any more that has left
// the set. Connections are served meanwhile.
func (s *Server) awaitRetired(ctx context.Context, want []Listener) error {
	s.mu.Lock()
	var closing []*listener
	for _, l := range want {
		if retired := s.retired[l.Address]; retired != nil {
			closing = append(closing, retired)
		}
	}
	maps.DeleteFunc(s.retired, func(_ string, l *listener) bool { return l.ended() })
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
