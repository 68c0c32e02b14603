// Package xds is the gateway's side of the control plane: a client of ADS that
// puts whole, checked configurations in force.
//
//	client.go    Client: connects, and again, and says where it is
//	stream.go    one stream, delta or state of the world
//	follower.go  take, put in force, acknowledge or refuse
//	resource.go  the types of resources, decoded once each
//	set.go       the newest resources, and when they make a whole
//	decode.go    Envoy's messages to package edge's: listeners; route.go,
//	             policy.go, cluster.go and secret.go are its parts
//	only.go      refuses what is not understood
//	files.go     files that secrets name, read again when they change
//	snapshot.go  the last good sets on disk, used while the control plane is down
//
// Only a set that its manifest describes is taken: it is of one release and
// closed under its references. A bad one is refused with the reason and the old
// stays in force. It is acknowledged once it is in force.
package xds

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 5 * time.Second
)

// Config is what a Client needs.
type Config struct {
	HTTP    *http.Client // HTTP/2
	BaseURL string
	Node    *corev3.Node // of this gateway; its id is no other's
	// SnapshotFile begins the names of the files that hold the last good sets.
	SnapshotFile string
	// Apply puts a checked configuration in force. Its error refuses it.
	Apply      func(*edge.Config) error
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Status is where a client is.
type Status struct {
	Connected bool
	Delta     bool // else state of the world
	Rejected  string
	Versions  map[string]string // of what was received, by type
}

// Client follows the control plane.
type Client struct {
	config  Config
	metrics metrics
	follow  *follower
	plain   bool // the control plane knows no delta

	mu     sync.Mutex
	status Status

	saving chan *set // holds the newest set that is to be saved
}

// New returns a client; Run makes it work.
func New(config Config) *Client {
	c := &Client{config: config, metrics: newMetrics(config.Registerer), saving: make(chan *set, 1)}
	c.follow = &follower{client: c, received: newSet()}
	return c
}

// Node is the id of this gateway.
func (c *Client) Node() string { return c.config.Node.GetId() }

// Status tells where the client is.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := c.status
	status.Versions = maps.Clone(status.Versions)
	return status
}

// Run follows the control plane until ctx ends. Call Load before.
func (c *Client) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { c.keep(ctx) })
	beside.Go(func() { c.reread(ctx) })
	defer beside.Wait()
	for wait := firstBackoff; ctx.Err() == nil; wait = min(2*wait, longestBackoff) {
		began := time.Now()
		err := c.attend(ctx)
		c.connected(false)
		if ctx.Err() != nil {
			break
		}
		if code := connect.CodeOf(err); code == connect.CodeUnimplemented || code == connect.CodeNotFound {
			c.plain = !c.plain
		}
		if time.Since(began) > longestBackoff {
			wait = firstBackoff
		}
		c.config.Log.Info("control plane is not followed; the configuration stays", "err", err, "wait", wait, "delta", !c.plain)
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil
}

func (c *Client) connected(yes bool) {
	value := 0.0
	if yes {
		value = 1
	}
	c.metrics.connected.Set(value)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Connected, c.status.Delta = yes, !c.plain
}

// note remembers what was received and how it went.
func (c *Client) note(versions map[string]string, rejected string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Versions, c.status.Rejected = maps.Clone(versions), rejected
}

type metrics struct {
	connected prometheus.Gauge
	taken     prometheus.Counter
	refused   prometheus.Counter
	apply     prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) metrics {
	m := metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_gateway_xds_connected", Help: "1 while the control plane is followed.",
		}),
		taken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_xds_swaps_total", Help: "Configurations put in force.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_xds_refused_total", Help: "Configurations refused.",
		}),
		apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_gateway_xds_apply_seconds", Help: "Time to check a configuration and put it in force.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
	}
	registerer.MustRegister(m.connected, m.taken, m.refused, m.apply)
	return m
}
