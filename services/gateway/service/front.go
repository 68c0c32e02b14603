package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/lifecycle"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/adapt"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/epoll"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/h3"
	"github.com/backlot-video/backlot/services/gateway/internal/media"
	"github.com/backlot-video/backlot/services/gateway/internal/quota"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/secret"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// front is the public side: the engines, and the relay that they serve by.
type front struct {
	host      *lifecycle.Host
	upstreams *upstream.Set
	quota     *quota.Quota
	relay     *relay.Relay
	secrets   *secret.Store
	http1     *engine.Server
	loops     *epoll.Set // nil: goroutines serve everything
	http2     *h2.Server
	http3     *h3.Set
	access    access
	calls     *h2.Transport
	address   string          // of the public listener
	public3   bool            // it has HTTP/3
	ctx       context.Context //nolint:containedctx // of listeners, which are opened by any swap

	mu     sync.Mutex // of swap
	opened bool       // listeners are open
}

// open makes everything but opens no listener.
func (s *Service) open(ctx context.Context, host *lifecycle.Host) (*front, error) {
	secrets, err := secret.New(secret.Config{
		CertFile: s.config.TLSCert, KeyFile: s.config.TLSKey, Log: host.Log, Registerer: host.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway.tls-cert, gateway.tls-key: %w", err)
	}
	metrics := h2.NewMetrics(host.Registerer)
	f := &front{
		host: host, secrets: secrets, address: s.config.Listen, public3: s.config.HTTP3, ctx: context.WithoutCancel(ctx),
		calls: h2.NewTransport(h2.TransportConfig{Log: host.Log, Metrics: metrics}),
	}
	_, clientTLS := host.TLS()
	f.upstreams = upstream.New(upstream.Config{Clock: host.Clock, TLS: clientTLS, Log: host.Log, Registerer: host.Registerer})
	if err := f.access.open(s.config, host); err != nil {
		return nil, err
	}
	f.quota = newQuota(host)
	filters := filter.NewEnv(filter.Config{
		Keys: host.Keys, Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
		Tracer: host.Tracer, TraceRatio: host.TraceRatio, AccessLog: f.access.log, TrustedHops: s.config.TrustedHops,
		Transport: func(cluster string) http.RoundTripper { return f.relay.Caller(cluster) },
		Quota:     f.quota,
	})
	var console http.Handler
	if s.console != nil {
		console = http.FileServerFS(s.console)
	}
	f.relay = relay.New(relay.Config{
		Upstreams: f.upstreams, Filters: filters, Media: media.New(host, host.Log), Console: console, Other: http2{f.calls},
		Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	f.http2 = h2.NewServer(h2.Config{
		Limits: h2.Limits{
			MaxHeader: int(s.config.MaxHeader), HeaderTimeout: s.config.HeaderTimeout,
			IdleTimeout: s.config.IdleTimeout, WriteTimeout: s.config.WriteTimeout,
		},
		Handler: f.relay, Log: host.Log, Metrics: metrics,
	})
	f.http1 = engine.New(engine.Config{
		Handler: f.relay, Refused: f.relay.Refused, HTTP2: f.http2.Serve, HeaderTimeout: s.config.HeaderTimeout, IdleTimeout: s.config.IdleTimeout,
		BodyTimeout: s.config.BodyTimeout, WriteTimeout: s.config.WriteTimeout, MaxHeader: int(s.config.MaxHeader),
		MaxConnections: s.config.MaxConnections, Log: host.Log, Registerer: host.Registerer,
		Open: func(ctx context.Context, address string) (net.Listener, error) { // one that was taken over, or a new one
			if address == s.config.Listen {
				return host.Listen(ctx, address, name+".listen")
			}
			return host.Listen(ctx, address, "")
		},
	})
	f.http3 = h3.New(h3.Config{
		Handler: &adapt.Server{
			Handler: f.relay, Protocol: exchange.HTTP3, BodyTimeout: s.config.BodyTimeout, WriteTimeout: s.config.WriteTimeout,
			Refused: f.relay.Refused,
		},
		MaxHeader: int(s.config.MaxHeader), IdleTimeout: s.config.IdleTimeout, DrainTime: s.config.DrainTime,
		Enter: f.http1.Enter, Left: f.http1.Left, Log: host.Log, Registerer: host.Registerer,
	})
	if err := f.openLoops(&s.config); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// newQuota takes limits that hold for all gateways together from the
// configstore.
func newQuota(host *lifecycle.Host) *quota.Quota {
	return quota.New(quota.Config{
		Service: configstorev1.NewQuotaServiceClient(host.Dial("configstore")),
		Replica: uuid.NewString(),
		Replicas: func() int {
			_, all := host.Replicas()
			return len(all)
		},
		Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
}

// listen opens the listeners. Until then swap leaves them shut, for who takes
// over from another process has clients at once, and needs routes for them.
func (f *front) listen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = true
	if current := f.relay.Current(); current != nil {
		err := f.setListeners(current)
		if err == nil {
			return nil
		}
		f.host.Log.Error("listeners of the last good configuration cannot be opened", "err", err)
	}
	return f.setListeners(&edge.Config{})
}

// openLoops makes event loops of plain HTTP/1.1: where they are asked for, and
// by default where there can be any.
func (f *front) openLoops(c *Config) (err error) {
	if c.Engine == "goroutine" || c.Engine == "auto" && runtime.GOOS != "linux" {
		return nil
	}
	f.loops, err = epoll.New(epoll.Config{
		Relay: f.relay, Engine: f.http1, HeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout,
		BodyTimeout: c.BodyTimeout, WriteTimeout: c.WriteTimeout, MaxHeader: int(c.MaxHeader), Log: f.host.Log,
	})
	if err != nil {
		return fmt.Errorf("gateway.engine: %w", err)
	}
	f.http1.SetLoops(f.loops)
	return nil
}

// swap puts a configuration in force: certificates, then listeners, then what
// requests go by. Where it cannot be, the old one stays and the error says why.
func (f *front) swap(config *edge.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := config.CheckBeside(f.address); err != nil {
		return err
	}
	err := f.swapEdge(config)
	if err == nil {
		err = f.relay.Swap(config)
	}
	if err == nil {
		return nil
	}
	old := f.relay.Current()
	if old == nil {
		old = &edge.Config{}
	}
	return errors.Join(err, f.swapEdge(old))
}

// swapEdge puts certificates and listeners in force.
func (f *front) swapEdge(config *edge.Config) error {
	if err := f.secrets.Swap(config); err != nil {
		return err
	}
	if !f.opened {
		return nil
	}
	return f.setListeners(config)
}

// setListeners opens what a configuration asks for: HTTP/3 at the addresses
// that are open by then, since their ports may be the system's choice.
func (f *front) setListeners(config *edge.Config) error {
	want := f.listeners(config)
	if err := f.http1.SetListeners(f.ctx, want); err != nil {
		return err
	}
	opened := f.http1.Addresses()
	var quic []h3.Listener
	for _, l := range want {
		if l.Alternative != nil {
			quic = append(quic, h3.Listener{Address: l.Address, Bind: opened[l.Address].String(), TLS: l.TLS})
		}
	}
	return f.http3.SetListeners(quic)
}

// listeners are the public one and those of a configuration.
func (f *front) listeners(config *edge.Config) []engine.Listener {
	public := engine.Listener{Address: f.address}
	if f.secrets.HasFiles() {
		public.TLS = f.secrets.Listener(secret.Public)
		if f.public3 {
			public.Alternative = f.alternative(f.address)
		}
	}
	all := []engine.Listener{public}
	for i := range config.Listeners {
		l := engine.Listener{Address: config.Listeners[i].Address, Field: fmt.Sprintf("listener %q: address", config.Listeners[i].Name)}
		if settings := config.Listeners[i].TLS; settings != nil {
			l.TLS = f.secrets.Listener(config.Listeners[i].Name)
			if settings.HTTP3 {
				l.Alternative = f.alternative(l.Address)
			}
		}
		all = append(all, l)
	}
	return all
}

// alternative gives Alt-Svc for an address that has HTTP/3 beside TCP.
func (f *front) alternative(address string) func() []byte {
	return func() []byte { return f.http3.Alternative(address) }
}

// drain lets the requests in flight end, within a time.
func (f *front) drain(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f.http2.Drain()
	var third error
	var group sync.WaitGroup
	group.Go(func() { third = f.http3.Drain(ctx) })
	err := f.http1.Drain(ctx)
	group.Wait()
	if err := errors.Join(err, third); err != nil {
		f.host.Log.Warn("connections were cut at the end of the drain", "err", err)
	}
}

// close ends what is left.
func (f *front) close() {
	if f.loops != nil {
		f.loops.Close()
	}
	f.http3.Close() // its connections count as the engine's
	f.http1.Close()
	f.http2.Close()
	f.relay.Wait()
	f.calls.Close()
	f.access.close()
}
