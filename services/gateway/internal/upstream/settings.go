package upstream

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Defaults that edge does not name.
const (
	defaultPanic          = 0.5
	defaultHealthInterval = 5 * time.Second
	defaultHealthTimeout  = time.Second
	defaultHealthy        = 2
	defaultUnhealthy      = 3
	defaultConsecutive    = 5
	defaultJudgeInterval  = 10 * time.Second
	defaultBaseEject      = 30 * time.Second
	defaultMaxEject       = 5 * time.Minute
	defaultMaxEjectPct    = 10
	defaultErrorShare     = 0.5
	defaultErrorWindow    = 10 * time.Second
	defaultErrorMinimum   = 20
	defaultOpenFor        = 5 * time.Second
	defaultProbes         = 3
)

// plan is a cluster as it is to be made.
type plan struct {
	settings    edge.Cluster
	endpoints   []plannedEndpoint
	credentials *credentials
}

// endpointKey tells endpoints of a cluster apart. Connections of two that
// differ in it must not be taken for each other's.
type endpointKey struct {
	address    string
	secure     bool
	serverName string
	authority  string // names of secrets
	identity   string
}

type plannedEndpoint struct {
	key      endpointKey
	weight   uint32
	zone     string
	draining bool
}

// plan checks the clusters and fills in what they leave open.
func (s *Set) plan(clusters map[string]edge.Cluster, secrets map[string]edge.Secret) ([]plan, error) {
	plans := make([]plan, 0, len(clusters))
	var faults []error
	for name, c := range clusters {
		p, err := s.planCluster(name, c, secrets)
		if err != nil {
			faults = append(faults, fmt.Errorf("cluster %q: %w", name, err))
			continue
		}
		plans = append(plans, p)
	}
	return plans, errors.Join(faults...)
}

func (s *Set) planCluster(name string, c edge.Cluster, secrets map[string]edge.Secret) (plan, error) {
	c.Name = name
	faults := []error{checkBounds(&c)}
	settle(&c)
	p := plan{settings: c, credentials: s.house}
	if c.TLS != nil {
		made, err := s.credentials(name, c.TLS, secrets)
		faults = append(faults, err)
		p.credentials = made
	}
	seen := map[endpointKey]bool{}
	for i, e := range c.Endpoints {
		if err := checkAddress(e.Address); err != nil {
			faults = append(faults, fmt.Errorf("endpoints[%d]: address %q: %w", i, e.Address, err))
			continue
		}
		planned := plannedEndpoint{key: keyOf(e, c.TLS), weight: max(e.Weight, 1), zone: e.Zone, draining: e.Draining}
		if !seen[planned.key] { // the first of those alike
			seen[planned.key] = true
			p.endpoints = append(p.endpoints, planned)
		}
	}
	return p, errors.Join(faults...)
}

func keyOf(e edge.Endpoint, t *edge.ClusterTLS) endpointKey {
	key := endpointKey{address: e.Address, secure: e.TLS || t != nil}
	if t != nil {
		key.serverName, key.authority, key.identity = t.ServerName, t.Authority, t.Certificate
	}
	return key
}

func checkAddress(address string) error {
	if path, found := strings.CutPrefix(address, "unix:"); found {
		if path == "" {
			return errors.New("names no socket")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("must be host:port or unix:/path")
	}
	if n, err := strconv.ParseUint(port, 10, 16); host == "" || err != nil || n == 0 {
		return errors.New("must be host:port with a port of 1 to 65535")
	}
	return nil
}

// checkBounds finds numbers that mean nothing.
func checkBounds(c *edge.Cluster) error {
	var faults []error
	within := func(field string, value, most float64) {
		if !(0 <= value && value <= most) { // NaN is not within
			faults = append(faults, fmt.Errorf("%s: %v, must be 0 to %v", field, value, most))
		}
	}
	const many = 1 << 30
	within("max_connections", float64(c.MaxConnections), many)
	within("max_pending", float64(c.MaxPending), many)
	within("max_requests", float64(c.MaxRequests), many)
	within("max_retries", float64(c.MaxRetries), many)
	within("retry_budget", c.RetryBudget, 1)
	within("panic_threshold", c.PanicThreshold, 1)
	within("pool.max_idle", float64(c.Pool.MaxIdle), many)
	within("pool.max_uses", float64(c.Pool.MaxUses), many)
	if o := c.Outlier; o != nil {
		within("outlier.max_eject_percent", float64(o.MaxEjectPercent), 100)
		within("outlier.consecutive", float64(o.Consecutive), many)
		within("outlier.success_rate", o.SuccessRate, 100)
	}
	if b := c.Errors; b != nil {
		within("errors.share", b.Share, 1)
		within("errors.minimum", float64(b.Minimum), many)
		within("errors.probes", float64(b.Probes), many)
	}
	if h := c.Health; h != nil && h.Path != "" && !h.GRPC && !strings.HasPrefix(h.Path, "/") {
		faults = append(faults, fmt.Errorf("health.path: %q, must begin with /", h.Path))
	}
	if d := durations(c); slices.ContainsFunc(d, func(d time.Duration) bool { return d < 0 }) {
		faults = append(faults, errors.New("a time is below zero"))
	}
	return errors.Join(faults...)
}

func durations(c *edge.Cluster) []time.Duration {
	d := []time.Duration{c.ConnectTimeout, c.Pool.IdleTimeout, c.Pool.TLSHandshake}
	if o := c.Outlier; o != nil {
		d = append(d, o.Interval, o.BaseEject, o.MaxEject)
	}
	if b := c.Errors; b != nil {
		d = append(d, b.Window, b.OpenFor)
	}
	if h := c.Health; h != nil {
		d = append(d, h.Interval, h.Timeout)
	}
	return d
}

// settle fills in what is left open. Policies behind pointers are copied, not
// changed.
func settle(c *edge.Cluster) {
	orDefault(&c.ConnectTimeout, edge.DefaultConnectTimeout)
	orDefault(&c.MaxConnections, edge.DefaultMaxConnections)
	orDefault(&c.MaxPending, edge.DefaultMaxPending)
	orDefault(&c.MaxRequests, edge.DefaultMaxRequests)
	orDefault(&c.MaxRetries, edge.DefaultMaxRetries)
	orDefault(&c.RetryBudget, edge.DefaultRetryBudget)
	orDefault(&c.PanicThreshold, defaultPanic)
	orDefault(&c.Pool.MaxIdle, edge.DefaultMaxIdle)
	orDefault(&c.Pool.IdleTimeout, edge.DefaultPoolIdle)
	orDefault(&c.Pool.TLSHandshake, edge.DefaultTLSHandshake)
	if c.Outlier != nil {
		o := *c.Outlier
		orDefault(&o.Consecutive, defaultConsecutive)
		orDefault(&o.Interval, defaultJudgeInterval)
		orDefault(&o.BaseEject, defaultBaseEject)
		orDefault(&o.MaxEject, max(defaultMaxEject, o.BaseEject))
		orDefault(&o.MaxEjectPercent, defaultMaxEjectPct)
		c.Outlier = &o
	}
	if c.Errors != nil {
		b := *c.Errors
		orDefault(&b.Share, defaultErrorShare)
		orDefault(&b.Window, defaultErrorWindow)
		orDefault(&b.Minimum, defaultErrorMinimum)
		orDefault(&b.OpenFor, defaultOpenFor)
		orDefault(&b.Probes, defaultProbes)
		c.Errors = &b
	}
	if c.Health != nil {
		h := *c.Health
		orDefault(&h.Interval, defaultHealthInterval)
		orDefault(&h.Timeout, defaultHealthTimeout)
		orDefault(&h.Healthy, defaultHealthy)
		orDefault(&h.Unhealthy, defaultUnhealthy)
		c.Health = &h
	}
}

func orDefault[T int | float64 | time.Duration](value *T, def T) {
	if *value == 0 {
		*value = def
	}
}
