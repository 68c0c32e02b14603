package h3

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// socket is one UDP address with its connections.
type socket struct {
	set     *Set
	address string // that was asked for
	bind    string
	server  *http3.Server
	tls     atomic.Pointer[tls.Config]
	other   atomic.Pointer[[]byte] // value of Alt-Svc; nil: not open
	served  chan struct{}          // run has ended

	mu      sync.Mutex
	udp     *net.UDPConn // nil: the address is in use
	quic    *quic.Transport
	accepts *quic.Listener
	conns   map[*quic.Conn]*conn
	over    bool
}

// conn is one connection. It goes with the context of its requests.
type conn struct {
	*quic.Conn
	active atomic.Int64 // requests
	since  atomic.Int64 // Unix nanoseconds: when there was the last one
}

type connKey struct{}

func newSocket(s *Set, l Listener) *socket {
	k := &socket{set: s, address: l.Address, bind: cmp.Or(l.Bind, l.Address), conns: map[*quic.Conn]*conn{}, served: make(chan struct{})}
	k.tls.Store(l.TLS)
	k.server = &http3.Server{
		Handler: http.HandlerFunc(k.serve), MaxHeaderBytes: s.config.MaxHeader, Logger: s.config.Log,
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, k.find(c))
		},
	}
	return k
}

// open opens the address.
func (k *socket) open() error {
	at, err := net.ResolveUDPAddr("udp", k.bind)
	if err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	transport := &quic.Transport{Conn: udp, VerifySourceAddress: k.suspect}
	accepts, err := transport.Listen(k.settings(), &quic.Config{
		HandshakeIdleTimeout: handshakeTime, MaxIdleTimeout: quietTime, KeepAlivePeriod: quietTime / 2,
		InitialStreamReceiveWindow: streamWindow / 2, MaxStreamReceiveWindow: streamWindow,
		InitialConnectionReceiveWindow: connWindow / 2, MaxConnectionReceiveWindow: connWindow,
		MaxIncomingStreams: int64(k.set.config.MaxStreams), MaxIncomingUniStreams: controls,
	})
	if err != nil {
		_ = udp.Close()
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		_ = transport.Close()
		_ = udp.Close()
		return net.ErrClosed
	}
	k.udp, k.quic, k.accepts = udp, transport, accepts
	value := []byte(`h3=":` + strconv.Itoa(udp.LocalAddr().(*net.UDPAddr).Port) + `"; ma=86400`) //nolint:forcetypeassert // a UDP socket
	k.other.Store(&value)
	return nil
}

// settings asks, at each handshake, for the certificates in force.
func (k *socket) settings() *tls.Config {
	return http3.ConfigureTLSConfig(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			current := k.tls.Load()
			if current.GetConfigForClient == nil {
				return current, nil
			}
			return current.GetConfigForClient(hello)
		},
	})
}

// suspectFrom is how many connections of a socket make it ask further clients
// to prove their address, which costs them a round trip.
const suspectFrom = 1024

func (k *socket) suspect(net.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns) >= suspectFrom
}

func (k *socket) alternative() []byte {
	if value := k.other.Load(); value != nil {
		return *value
	}
	return nil
}

// run serves until the socket is drained or closed.
func (k *socket) run(ctx context.Context) {
	defer close(k.served)
	if !k.await(ctx) {
		return
	}
	k.set.config.Log.Info("listening", "address", k.address, "protocol", "HTTP/3")
	ended := make(chan struct{})
	var sweeper sync.WaitGroup
	sweeper.Go(func() { k.sweep(ended) })
	_ = k.server.ServeListener(bounded{k.accepts, k})
	close(ended)
	sweeper.Wait()
}

// await opens an address that was in use, false where the socket ends first.
func (k *socket) await(ctx context.Context) bool {
	for warned := false; k.alternative() == nil; {
		if !warned {
			k.set.config.Log.Warn("address is in use: HTTP/3 waits until it is free", "address", k.address)
			warned = true
		}
		timer := time.NewTimer(retryEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		if k.ended() {
			return false
		}
		_ = k.open()
	}
	return true
}

func (k *socket) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.over
}

// serve counts a request of its connection.
func (k *socket) serve(w http.ResponseWriter, r *http.Request) {
	if c, _ := r.Context().Value(connKey{}).(*conn); c != nil {
		c.active.Add(1)
		defer func() {
			c.since.Store(time.Now().UnixNano())
			c.active.Add(-1)
		}()
	}
	k.set.metrics.requests.Inc()
	k.set.config.Handler.ServeHTTP(w, r)
}

// find gives the connection that bounded has admitted.
func (k *socket) find(of *quic.Conn) *conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conns[of]
}

// bounded is a listener that admits so many connections.
type bounded struct {
	*quic.Listener
	socket *socket
}

// Accept implements http3.QUICListener.
func (b bounded) Accept(ctx context.Context) (*quic.Conn, error) {
	k := b.socket
	for {
		accepted, err := b.Listener.Accept(ctx)
		if err != nil {
			return nil, err
		}
		if !k.set.config.Enter() {
			k.set.metrics.refused.Inc()
			_ = accepted.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too many connections")
			continue
		}
		k.set.metrics.accepted.Inc()
		c := &conn{Conn: accepted}
		c.since.Store(time.Now().UnixNano())
		k.mu.Lock()
		k.conns[accepted] = c
		k.mu.Unlock()
		context.AfterFunc(accepted.Context(), func() {
			k.mu.Lock()
			delete(k.conns, accepted)
			k.mu.Unlock()
			k.set.config.Left()
		})
		return accepted, nil
	}
}

// sweep closes connections without a request.
func (k *socket) sweep(ended <-chan struct{}) {
	ticker := time.NewTicker(sweepEvery * 10)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case now := <-ticker.C:
			k.closeIdle(now.Add(-k.set.config.IdleTimeout))
		}
	}
}

// closeIdle closes connections that have no request, and had none since.
func (k *socket) closeIdle(since time.Time) {
	var idle []*conn
	k.mu.Lock()
	for _, c := range k.conns {
		if c.active.Load() == 0 && c.since.Load() < since.UnixNano() {
			idle = append(idle, c)
		}
	}
	k.mu.Unlock()
	for _, c := range idle {
		_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "idle")
	}
}

// drain ends the socket once its requests have ended, or with ctx.
func (k *socket) drain(ctx context.Context) error {
	k.mu.Lock()
	k.over = true
	k.mu.Unlock()
	k.other.Store(nil)
	ended := make(chan struct{})
	var sweeper sync.WaitGroup
	began := time.Now()
	sweeper.Go(func() {
		ticker := time.NewTicker(sweepEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case now := <-ticker.C:
				if now.Sub(began) >= idleGrace {
					k.closeIdle(now)
				}
			}
		}
	})
	err := k.server.Shutdown(ctx)
	close(ended)
	sweeper.Wait()
	k.close()
	<-k.served
	return err
}

// close cuts the socket and all its connections.
func (k *socket) close() {
	k.mu.Lock()
	k.over = true
	udp, transport := k.udp, k.quic
	k.mu.Unlock()
	k.other.Store(nil)
	_ = k.server.Close()
	if transport != nil {
		_ = transport.Close()
		_ = udp.Close()
	}
}
