// Package h3 serves HTTP/3 (RFC 9114) on UDP addresses: it opens QUIC sockets,
// bounds the connections of clients, and ends them; requests become exchanges
// by package adapt.
//
//	h3.go       Config, Set: the sockets that are open, which change at run time
//	socket.go   one socket: its connections, its end
//	metrics.go  metrics
//
// QUIC and HTTP/3 themselves are quic-go's. There is no early data (0-RTT),
// which could be replayed, and no extended CONNECT. A socket cannot be shared
// with another process, as a connection's packets would go to either: where an
// address is in use, by a process that this one replaces or by a socket that is
// still being drained, it is tried again until it is free, and not announced
// (Alt-Svc) before.
package h3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Set. Zero fields mean the defaults.
type Config struct {
	Handler     http.Handler  // of requests: an adapt.Server
	MaxHeader   int           // bytes of a head; default 64 KiB
	MaxStreams  int           // open at once on a connection; default 250
	IdleTimeout time.Duration // without a request; default 2 min
	DrainTime   time.Duration // of a socket that is taken away; default 10 s
	// Enter counts a connection, false where there are too many; Left ends it.
	// nil: there is no bound.
	Enter      func() bool
	Left       func()
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// The rest of what bounds a connection.
const (
	handshakeTime = 10 * time.Second
	// quietTime is how long a connection lives whose client is not heard of. It
	// is kept alive while requests are under way.
	quietTime    = 30 * time.Second
	streamWindow = 1 << 20 // bytes of a stream's body held here
	connWindow   = 1 << 20 // and of all streams of a connection
	controls     = 8       // unidirectional streams of a client: control, two of QPACK, and spare
	retryEvery   = 500 * time.Millisecond
	sweepEvery   = 100 * time.Millisecond
	// idleGrace is how long a drain waits for the next request of a connection
	// that is idle, which may be on its way.
	idleGrace = time.Second
)

// Listener is an address to serve.
type Listener struct {
	Address string // host:port
	Bind    string // where to open it; empty: at Address
	TLS     *tls.Config
}

// Set is the sockets that are open. It is safe for concurrent use.
type Set struct {
	config  Config
	metrics *metrics
	ctx     context.Context //nolint:containedctx // of what runs until Close
	cancel  context.CancelFunc
	workers sync.WaitGroup
	current atomic.Pointer[map[string]*socket] // what sockets is, for Alternative

	mu       sync.Mutex
	sockets  map[string]*socket // by Listener.Address
	retired  map[*socket]struct{}
	draining bool
}

// New returns a set without sockets. Close ends it.
func New(config Config) *Set {
	if config.MaxHeader == 0 {
		config.MaxHeader = 64 << 10
	}
	if config.MaxStreams == 0 {
		config.MaxStreams = 250
	}
	if config.IdleTimeout == 0 {
		config.IdleTimeout = 2 * time.Minute
	}
	if config.DrainTime == 0 {
		config.DrainTime = 10 * time.Second
	}
	if config.Enter == nil {
		config.Enter, config.Left = func() bool { return true }, func() {}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{config: config, sockets: map[string]*socket{}, retired: map[*socket]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.metrics = newMetrics(config.Registerer, s)
	return s
}

// SetListeners opens and closes until exactly these are open, or waiting for
// an address that is in use. Those that stay take their new certificates for
// the handshakes that come. Where one cannot be opened for another reason,
// nothing changes.
func (s *Set) SetListeners(want []Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil
	}
	wanted, fresh := map[string]bool{}, map[string]*socket{}
	var faults []error
	for _, l := range want {
		wanted[l.Address] = true
		if s.sockets[l.Address] != nil || fresh[l.Address] != nil {
			continue
		}
		opened := newSocket(s, l)
		if err := opened.open(); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			faults = append(faults, fmt.Errorf("listener %s: http3: %w", l.Address, err))
			continue
		}
		fresh[l.Address] = opened
	}
	if err := errors.Join(faults...); err != nil {
		for _, opened := range fresh {
			opened.close()
		}
		return err
	}
	for address, old := range s.sockets {
		if !wanted[address] {
			delete(s.sockets, address)
			s.retire(old)
		}
	}
	for address, opened := range fresh {
		s.sockets[address] = opened
		s.workers.Go(func() { opened.run(s.ctx) })
	}
	for _, l := range want {
		s.sockets[l.Address].tls.Store(l.TLS)
	}
	now := maps.Clone(s.sockets)
	s.current.Store(&now)
	return nil
}

// retire drains a socket in a goroutine of its own. mu is held.
func (s *Set) retire(old *socket) {
	s.retired[old] = struct{}{}
	s.workers.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.config.DrainTime)
		defer cancel()
		_ = old.drain(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.retired, old)
	})
}

// Alternative gives the value of Alt-Svc for an address, as long as it is
// open; empty else.
func (s *Set) Alternative(address string) []byte {
	if all := s.current.Load(); all != nil {
		if found := (*all)[address]; found != nil {
			return found.alternative()
		}
	}
	return nil
}

// Drain asks clients to go elsewhere (GOAWAY) and lets the requests under way
// end. Connections without one are closed after a moment. It returns ctx's
// error where it ended first, and what was left was cut.
func (s *Set) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	all := make([]*socket, 0, len(s.sockets))
	for _, one := range s.sockets {
		all = append(all, one)
	}
	s.mu.Unlock()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, one := range all {
		group.Go(func() { errs[i] = one.drain(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// Close cuts everything and waits for what ran.
func (s *Set) Close() {
	s.cancel()
	s.mu.Lock()
	s.draining = true
	for _, one := range s.sockets {
		one.close()
	}
	for one := range s.retired {
		one.close()
	}
	s.mu.Unlock()
	s.workers.Wait()
}
