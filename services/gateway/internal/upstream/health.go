package upstream

import (
	"context"
	"net/http"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

const (
	// checkWorkers ask endpoints at once at most.
	checkWorkers = 16
	// checkQueue is how many checks wait for a worker; more are postponed.
	checkQueue = 64
	// firstWithin spreads the first checks of endpoints that came together.
	firstWithin = 200 * time.Millisecond
)

// health is what active checks found about an endpoint. The group's mu guards
// it, but for the transport, which belongs to the one check that may run.
type health struct {
	due       time.Time // zero: not known yet
	running   bool
	proved    bool // checked once
	streak    int  // good checks in a row, or bad ones below zero
	closed    bool // runs no more
	transport *http.Transport
	made      prober // that the transport is for
}

// prober is what a transport depends on.
type prober struct {
	http2       bool
	credentials *credentials
}

// schedule hands out the checks that are due.
func (g *group) schedule(checks chan<- *Endpoint, now time.Time) {
	c := g.newest.Load()
	if c.settings.Health == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range c.members {
		h := &m.health
		if h.due.IsZero() {
			h.due = now.Add(time.Duration(g.set.random.share() * float64(min(firstWithin, c.settings.Health.Interval))))
		}
		if h.running || m.leaving || now.Before(h.due) {
			continue
		}
		select {
		case checks <- m.Endpoint:
			h.running = true
		default:
			g.postpone.Add(1)
		}
	}
}

// check asks once, and arranges for the next time: a tenth of the interval
// sooner or later, so that gateways do not ask all at once.
func (e *Endpoint) check(ctx context.Context) {
	g := e.group
	settings := &g.newest.Load().settings
	policy := settings.Health
	var err error
	if policy != nil {
		asking, cancel := context.WithTimeout(ctx, policy.Timeout)
		err = e.probe(asking, settings)
		cancel()
	}
	now := g.set.config.Clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	h := &e.health
	h.running = false
	if h.closed {
		e.hangUp()
		return
	}
	if policy == nil || ctx.Err() != nil {
		return
	}
	h.due = now.Add(time.Duration((0.9 + 0.2*g.set.random.share()) * float64(policy.Interval)))
	e.checked(err, policy)
}

// checked takes what a check found. An endpoint of which nothing is known is
// taken into use by one good check; else it takes several in a row to change
// what is held of it. The mu is held.
func (e *Endpoint) checked(err error, policy *edge.HealthCheck) {
	g, h := e.group, &e.health
	g.checks[index(err == nil)].Add(1)
	first := !h.proved
	h.proved = true
	if err == nil {
		h.streak = max(h.streak, 0) + 1
		if e.ailing.Load() && (first || h.streak >= policy.Healthy) {
			e.ailing.Store(false)
			g.version.Add(1)
			g.set.config.Log.Info("endpoint is healthy", "cluster", g.name, "endpoint", e.key.address)
		}
		return
	}
	h.streak = min(h.streak, 0) - 1
	if !e.ailing.Load() && -h.streak >= policy.Unhealthy {
		e.ailing.Store(true)
		g.version.Add(1)
		g.set.config.Log.Warn("endpoint is not healthy", "cluster", g.name, "endpoint", e.key.address, "err", err)
	}
}

// uncheck ends checks for good.
func (e *Endpoint) uncheck() {
	e.group.mu.Lock()
	defer e.group.mu.Unlock()
	e.health.closed = true
	if !e.health.running {
		e.hangUp()
	}
}

// hangUp closes the connection of checks.
func (e *Endpoint) hangUp() {
	if e.health.transport != nil {
		e.health.transport.CloseIdleConnections()
		e.health.transport = nil
	}
}
