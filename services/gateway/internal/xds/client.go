// Package xds is the gateway's side of the control plane: a client of ADS
// (state of the world) that puts whole, checked configurations in force.
//
//	client.go    the stream: ask, take, acknowledge or refuse
//	set.go       the newest resources, and when they make a whole
//	decode.go    Envoy's messages to package edge's: listeners; route.go,
//	             policy.go, cluster.go and secret.go are its parts
//	only.go      refuses what is not understood
//	snapshot.go  the last good set on disk, used while the control plane is down
//
// Only a set of one release that is closed under its references is taken;
// a bad one is refused with the reason and the old stays in force.
package xds

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	procedure      = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 5 * time.Second
	// maxMessage bounds one response.
	maxMessage = 64 << 20
)

// Config is what a Client needs.
type Config struct {
	HTTP         *http.Client // HTTP/2
	BaseURL      string
	Node         string // id of this gateway
	SnapshotFile string
	// Apply puts a checked configuration in force.
	Apply      func(*edge.Config)
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Client follows the control plane.
type Client struct {
	config    Config
	stream    *connect.Client[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]
	connected prometheus.Gauge
	taken     prometheus.Counter
	refused   prometheus.Counter

	mu       sync.Mutex
	rejected string
	inForce  set
}

// New returns a client; Run makes it work.
func New(config Config) *Client {
	c := &Client{
		config: config,
		stream: connect.NewClient[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse](
			config.HTTP, config.BaseURL+procedure, connect.WithGRPC(), connect.WithReadMaxBytes(maxMessage)),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_gateway_xds_connected", Help: "1 while the control plane is followed.",
		}),
		taken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_xds_swaps_total", Help: "Configurations put in force.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_gateway_xds_refused_total", Help: "Configurations refused.",
		}),
	}
	config.Registerer.MustRegister(c.connected, c.taken, c.refused)
	return c
}

// Rejected is why the newest configuration was refused, empty when it was
// not.
func (c *Client) Rejected() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rejected
}

// Run takes the snapshot of the last run and then follows the control plane
// until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	for wait := firstBackoff; ctx.Err() == nil; wait = min(2*wait, longestBackoff) {
		began := time.Now()
		err := c.follow(ctx)
		c.connected.Set(0)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > longestBackoff {
			wait = firstBackoff
		}
		c.config.Log.Info("control plane is not followed; the configuration stays", "err", err, "wait", wait)
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil
}

// follow works through one stream.
func (c *Client) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stream := c.stream.CallBidiStream(ctx)
	defer func() { _ = stream.CloseResponse() }()
	// The transport sees the end of ctx only when it is given something to
	// send, or the end of what is sent.
	unblock := context.AfterFunc(ctx, func() { _ = stream.CloseRequest() })
	defer unblock()
	defer cancel()

	f := &follower{client: c, stream: stream, received: set{}, accepted: map[string]string{}}
	for _, kind := range []string{secretType, clusterType, listenerType} {
		if err := f.ask(kind, "", nil, nil); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Receive()
		if err != nil {
			return err
		}
		c.connected.Set(1)
		if err := f.take(response); err != nil {
			return err
		}
	}
}

// follower is the state of one stream.
type follower struct {
	client   *Client
	stream   *connect.BidiStreamForClient[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]
	received set
	accepted map[string]string // version by type
	names    map[string][]string
}

// ask subscribes, acknowledges, or refuses.
func (f *follower) ask(kind, nonce string, names []string, fault error) error {
	request := &discoveryv3.DiscoveryRequest{
		TypeUrl: kind, VersionInfo: f.accepted[kind], ResponseNonce: nonce, ResourceNames: names,
		Node: &corev3.Node{Id: f.client.config.Node, Cluster: "gateway"},
	}
	if fault != nil {
		request.ErrorDetail = &statusv3.Status{Code: int32(connect.CodeInvalidArgument), Message: fault.Error()}
	}
	return f.stream.Send(request)
}

// take stores a response and puts the whole in force where it is one.
func (f *follower) take(response *discoveryv3.DiscoveryResponse) error {
	kind := response.GetTypeUrl()
	previous := f.received[kind]
	f.received[kind] = response
	config, fault := f.received.config()
	if errors.Is(fault, errIncomplete) {
		fault = nil
	} else if fault == nil {
		f.client.apply(f.received, config)
	}
	if fault != nil {
		f.client.reject(fault)
		f.received[kind] = previous
		if previous == nil {
			delete(f.received, kind)
		}
	} else {
		f.accepted[kind] = response.GetVersionInfo()
	}
	if err := f.ask(kind, response.GetNonce(), f.names[kind], fault); err != nil {
		return err
	}
	return f.subscribe(kind)
}

// subscribe asks for what a set of clusters or listeners refers to, once.
func (f *follower) subscribe(kind string) error {
	next, names := routeType, []string{edgeName}
	if kind == clusterType {
		next, names = endpointType, f.received.edsNames()
	} else if kind != listenerType {
		return nil
	}
	if f.names == nil {
		f.names = map[string][]string{}
	}
	if known, asked := f.names[next]; asked && slices.Equal(known, names) {
		return nil
	}
	f.names[next] = names
	if len(names) == 0 {
		return nil // an empty list would ask for everything
	}
	nonce := ""
	if last := f.received[next]; last != nil {
		nonce = last.GetNonce()
	}
	return f.ask(next, nonce, names, nil)
}

func (c *Client) apply(received set, config *edge.Config) {
	c.mu.Lock()
	c.rejected = ""
	c.inForce = maps.Clone(received)
	saved := c.inForce
	c.mu.Unlock()
	c.config.Apply(config)
	c.taken.Inc()
	if err := save(c.config.SnapshotFile, saved); err != nil {
		c.config.Log.Error("last good configuration cannot be saved", "err", err)
	}
}

func (c *Client) reject(fault error) {
	c.refused.Inc()
	c.config.Log.Error("configuration refused; the old one stays in force", "err", fault)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected = fault.Error()
}
