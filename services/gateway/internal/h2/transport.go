package h2

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// TransportConfig of a Transport. Zero members mean the defaults.
type TransportConfig struct {
	// Limits of connections. MaxStreams bounds the calls on one connection
	// beside what the upstream allows; IdleTimeout is how long one without
	// calls is kept, default 30 s.
	Limits Limits
	// PingAfter is how long a connection with calls may be silent before it is
	// asked whether it lives; it has as long to answer. Default 5 min and 10 s:
	// servers of gRPC take a shorter one for a flood.
	PingAfter time.Duration
	Log       *slog.Logger
	Metrics   *Metrics
}

// Transport carries exchanges to endpoints that speak HTTP/2, by ALPN over TLS
// and by prior knowledge without. Calls share connections; where one is full,
// another is made, within the cluster's bound.
type Transport struct {
	config TransportConfig
	counts counts
	done   chan struct{}
	work   sync.WaitGroup

	mu    sync.Mutex
	pools map[*upstream.Endpoint]*pool
}

// NewTransport returns one without connections. Close ends it.
func NewTransport(config TransportConfig) *Transport {
	if config.Limits.IdleTimeout <= 0 {
		config.Limits.IdleTimeout = 30 * time.Second
	}
	config.Limits = config.Limits.withDefaults()
	if config.PingAfter <= 0 {
		config.PingAfter = 5*time.Minute + 10*time.Second
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Metrics == nil {
		config.Metrics = NewMetrics(nil)
	}
	return &Transport{
		config: config, counts: config.Metrics.side("upstream"), done: make(chan struct{}),
		pools: map[*upstream.Endpoint]*pool{},
	}
}

// Open sends the head of x's request, or holds it back until the first bytes
// of its body or Head; more says that a body follows. ctx ends the call. Errors
// are those of upstream.Endpoint.Dial, ctx's, or of a connection that broke
// before anything was sent.
func (t *Transport) Open(ctx context.Context, x *exchange.Exchange, e *upstream.Endpoint, more bool) (*Call, error) {
	p := t.pool(e)
	call := newCall(&x.Request, e.Secure())
	for {
		c, err := p.conn(ctx)
		if err != nil {
			return nil, err
		}
		if c.open(call, !more) {
			call.stop = context.AfterFunc(ctx, func() { call.cancel(context.Cause(ctx)) })
			return call, nil
		}
	}
}

func (t *Transport) pool(e *upstream.Endpoint) *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pools[e]
	if p == nil {
		p = &pool{transport: t, endpoint: e}
		t.pools[e] = p
		t.work.Go(p.watch)
	}
	return p
}

// Close ends all connections at once and waits for their goroutines.
func (t *Transport) Close() {
	close(t.done)
	t.work.Wait()
}
