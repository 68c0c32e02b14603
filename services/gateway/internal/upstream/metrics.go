package upstream

import "github.com/prometheus/client_golang/prometheus"

const prefix = "backlot_gateway_upstream_"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, append([]string{"cluster"}, labels...), nil)
}

var (
	descRequests    = describe("in_flight_requests", "Requests in flight to a cluster.")
	descRetrying    = describe("in_flight_retries", "Retries in flight to a cluster.")
	descRetries     = describe("retries_total", "Tries that were made again.")
	descTries       = describe("tries_total", "Tries at endpoints, by how they ended.", "result")
	descRefused     = describe("refused_total", "Requests, retries and waiters that a bound refused.", "bound")
	descConnections = describe("connections", "Connections to a cluster, kept ones included.")
	descIdle        = describe("idle_connections", "Connections kept for the next request.")
	descPending     = describe("pending_requests", "Requests that wait for a connection.")
	descUses        = describe("connection_uses_total", "Requests by whether their connection was a kept one.", "connection")
	descDials       = describe("dials_total", "Connections made, by whether that succeeded.", "result")
	descEndpoints   = describe("endpoints", "Endpoints by state.", "state")
	descEjections   = describe("ejections_total", "Endpoints left alone for their answers.", "cause")
	descOpen        = describe("breaker_open", "1 while the breaker of errors is open or probing.")
	descOpens       = describe("breaker_opens_total", "Times that the breaker of errors has opened.")
	descChecks      = describe("health_checks_total", "Health checks by what they found.", "result")
	descPostponed   = describe("health_checks_postponed_total", "Health checks for which no worker was free in time.")
)

// collector reads the counts of all clusters when it is asked; counting costs
// no more than an atomic add.
type collector struct{ set *Set }

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRequests, descRetrying, descRetries, descTries, descRefused, descConnections, descIdle, descPending, descUses,
		descDials, descEndpoints, descEjections, descOpen, descOpens, descChecks, descPostponed,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.set.each(func(g *group) { g.collect(to) })
}

func (g *group) collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), append([]string{g.name}, labels...)...)
	}
	total := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), append([]string{g.name}, labels...)...)
	}
	c := g.newest.Load()
	gauge(descRequests, g.requests.Load())
	gauge(descRetrying, g.retries.Load())
	total(descRetries, g.retried.Load())
	for i := range g.tries {
		total(descTries, g.tries[i].Load(), resultNames[i])
	}
	for i := range g.refused {
		total(descRefused, g.refused[i].Load(), boundNames[i])
	}
	gauge(descConnections, g.queue.open.Load())
	gauge(descPending, g.queue.pending.Load())
	total(descUses, g.uses[0].Load(), "new")
	total(descUses, g.uses[1].Load(), "reused")
	total(descDials, g.dials[0].Load(), "failed")
	total(descDials, g.dials[1].Load(), "made")
	for i := range g.ejected {
		total(descEjections, g.ejected[i].Load(), causeNames[i])
	}
	if b := c.breaker; b != nil {
		gauge(descOpen, int64(index(b.state.Load() != closed)))
		total(descOpens, b.opens.Load())
	}
	if c.settings.Health != nil {
		total(descChecks, g.checks[0].Load(), "failed")
		total(descChecks, g.checks[1].Load(), "passed")
		total(descPostponed, g.postpone.Load())
	}
	idle, states := c.states()
	gauge(descIdle, idle)
	for state, n := range states {
		gauge(descEndpoints, n, stateNames[state])
	}
}

// The states of endpoints, the first that holds.
const (
	stateDraining = iota
	stateEjected
	stateUnhealthy
	stateUsable
	states
)

var stateNames = [states]string{"draining", "ejected", "unhealthy", "usable"}

// states counts kept connections and endpoints by state.
func (c *Cluster) states() (idle int64, counts [states]int64) {
	for _, m := range c.members {
		idle += int64(m.idle.len())
		switch {
		case m.leaving:
			counts[stateDraining]++
		case m.ejected.Load():
			counts[stateEjected]++
		case m.ailing.Load():
			counts[stateUnhealthy]++
		default:
			counts[stateUsable]++
		}
	}
	return idle, counts
}
