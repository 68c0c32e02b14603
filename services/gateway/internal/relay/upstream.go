package relay

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

var (
	errNoEndpoint = errors.New("no endpoint of the service is known")
	errFull       = errors.New("too many requests are in flight to the service")
)

const (
	// ejectTime is how long an endpoint that refused a connection rests.
	ejectTime   = 2 * time.Second
	idlePerHost = 1000
	idleTime    = 30 * time.Second
)

// cluster picks among upstreams.
type cluster struct {
	edge.Cluster
	upstreams []*upstream
	inFlight  atomic.Int64
	retries   atomic.Int64
}

// upstream is one endpoint with its connections.
type upstream struct {
	endpoint  edge.Endpoint
	transport *http.Transport
	inFlight  atomic.Int64
	restUntil atomic.Int64 // Unix nanoseconds
}

// cluster builds a cluster; upstreams known from before keep their
// connections.
func (h *Handler) cluster(c edge.Cluster) *cluster {
	built := &cluster{Cluster: c}
	for _, endpoint := range c.Endpoints {
		u, known := h.upstreams[endpoint]
		if !known {
			u = h.upstream(endpoint, c.ConnectTimeout)
		}
		built.upstreams = append(built.upstreams, u)
	}
	return built
}

func (h *Handler) upstream(endpoint edge.Endpoint, connect time.Duration) *upstream {
	dialer := &net.Dialer{Timeout: connect}
	network, address := "tcp", endpoint.Address
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, address = "unix", path
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &upstream{endpoint: endpoint, transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, dialError{err}
			}
			return conn, nil
		},
		Protocols: protocols, TLSClientConfig: h.config.TLS, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: idlePerHost, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTime,
		DisableCompression: true, ResponseHeaderTimeout: 0, MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
	}}
}

// dialError means that nothing was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// pick takes the less busy of two endpoints, those at rest last.
func (c *cluster) pick(now time.Time, not *upstream) *upstream {
	awake := make([]*upstream, 0, len(c.upstreams))
	for _, u := range c.upstreams {
		if u != not && u.restUntil.Load() <= now.UnixNano() {
			awake = append(awake, u)
		}
	}
	if len(awake) == 0 {
		awake = c.upstreams
	}
	if len(awake) == 0 {
		return nil
	}
	a, b := awake[rand.IntN(len(awake))], awake[rand.IntN(len(awake))]
	if b.inFlight.Load() < a.inFlight.Load() {
		return b
	}
	return a
}

// roundTripper sends one request to the cluster, again where the first
// endpoint could not be reached at all.
type roundTripper struct {
	handler *Handler
	cluster *cluster
	policy  edge.Policy
}

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	c := t.cluster
	if int(c.inFlight.Add(1)) > c.MaxRequests {
		c.inFlight.Add(-1)
		t.handler.metrics.refused.WithLabelValues(c.Name, "requests").Inc()
		return nil, errFull
	}
	var last *upstream
	for attempt := 1; ; attempt++ {
		last = c.pick(t.handler.config.Clock(), last)
		if last == nil {
			c.inFlight.Add(-1)
			return nil, errNoEndpoint
		}
		response, err := t.send(last, r)
		if err == nil {
			return response, nil
		}
		if attempt >= t.policy.MaxAttempts || !t.again(r, last, err) {
			c.inFlight.Add(-1)
			return nil, err
		}
		defer c.retries.Add(-1) // the budget is held until there is an answer
	}
}

// again tells whether another endpoint may be tried: nothing was sent, and
// the budget of retries allows it, of which it then holds one.
func (t roundTripper) again(r *http.Request, u *upstream, err error) bool {
	var unreached dialError
	if !errors.As(err, &unreached) {
		return false
	}
	u.restUntil.Store(t.handler.config.Clock().Add(ejectTime).UnixNano())
	if r.Context().Err() != nil {
		return false
	}
	if int(t.cluster.retries.Add(1)) > t.cluster.MaxRetries {
		t.cluster.retries.Add(-1)
		t.handler.metrics.refused.WithLabelValues(t.cluster.Name, "retries").Inc()
		return false
	}
	t.handler.metrics.retries.WithLabelValues(t.cluster.Name).Inc()
	return true
}

func (t roundTripper) send(u *upstream, r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		// The transport closes the body of an attempt that reached nobody; the
		// next one still has to read it. The server closes it in the end.
		sent.Body = io.NopCloser(r.Body)
	}
	sent.URL.Scheme = "http"
	if u.endpoint.TLS {
		sent.URL.Scheme = "https"
	}
	sent.URL.Host = u.endpoint.Address
	if strings.HasPrefix(u.endpoint.Address, "unix:") {
		sent.URL.Host = "unix"
	}
	u.inFlight.Add(1)
	response, err := u.transport.RoundTrip(sent)
	if err != nil {
		u.inFlight.Add(-1)
		return nil, err
	}
	response.Body = &countedBody{ReadCloser: response.Body, done: func() {
		u.inFlight.Add(-1)
		t.cluster.inFlight.Add(-1)
	}}
	return response, nil
}
