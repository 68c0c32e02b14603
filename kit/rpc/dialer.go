package rpc

import (
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/breaker"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// ClientConfig configures a Dialer. Zero fields mean what is written beside
// them.
type ClientConfig struct {
	Service    string                // the service that calls: the id of its principal; required with Signer
	Resolver   Resolver              // nothing is found
	Zone       string                // where the caller is; it prefers no endpoint
	Signer     Signer                // calls are anonymous
	Registerer prometheus.Registerer // metrics are kept but not exposed
	Tracer     trace.Tracer          // trace context is passed on, no span is made
	Clock      func() time.Time      // of breakers, throttles and ejected endpoints; time.Now
	TLS        *tls.Config           // of endpoints with TLS: the system's roots

	// Policies gives the policy in force for calls to a service, nil for the
	// defaults. It is asked for every call and answers from memory; what it
	// answered is not changed afterwards.
	Policies func(service string) *policyv1.CallPolicy

	Interceptors []Interceptor // between the principal and the retries

	ConnectTimeout  time.Duration // 1 s
	MaxMessageBytes int           // of a response; 16 MiB
	MaxIdleConns    int           // kept per endpoint; 64

	// Protocols of Connect; HTTP/1.1, the fastest between services. Calls that
	// stream both ways need HTTP/2.
	Protocols *http.Protocols
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Resolver == nil {
		c.Resolver = Static(nil)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Policies == nil {
		c.Policies = func(string) *policyv1.CallPolicy { return nil }
	}
	if c.Protocols == nil {
		c.Protocols = new(http.Protocols)
		c.Protocols.SetHTTP1(true)
	}
	c.ConnectTimeout = orDefault(c.ConnectTimeout, time.Second)
	c.MaxMessageBytes = orDefault(c.MaxMessageBytes, 16<<20)
	c.MaxIdleConns = orDefault(c.MaxIdleConns, 64)
	return c
}

// Dialer makes Conns to services. It keeps one breaker, one retry budget and
// one set of connections for each service, and a throttle for each of its methods
// and each tenant.
type Dialer struct {
	config  ClientConfig
	metrics *clientMetrics

	mu      sync.Mutex
	targets map[string]*target
}

// target is a service that is called.
type target struct {
	dialer   *Dialer
	service  string
	pool     *pool
	budget   retryBudget
	breaker  breaker.Breaker
	held     throttles
	inFlight atomic.Int64
	metrics  targetMetrics
	methods  sync.Map // procedure -> Handler
}

// NewDialer returns a Dialer that holds no connection yet.
func NewDialer(config ClientConfig) *Dialer {
	config = config.withDefaults()
	return &Dialer{
		config:  config,
		metrics: newClientMetrics(config.Registerer),
		targets: make(map[string]*target),
	}
}

// Conn returns a Conn to a service by its name. It needs no closing.
func (d *Dialer) Conn(service string) rpcdesc.Conn { return d.target(service) }

func (d *Dialer) target(service string) *target {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, exists := d.targets[service]
	if !exists {
		found = &target{
			dialer: d, service: service,
			pool:    &pool{config: &d.config, service: service},
			metrics: d.metrics.of(service),
		}
		d.targets[service] = found
	}
	return found
}

// Close closes the connections. Calls after it connect again.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var faults []error
	for _, t := range d.targets {
		faults = append(faults, t.pool.close())
	}
	return errors.Join(faults...)
}
