package h3

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	accepted, refused, requests prometheus.Counter
	set                         *Set
	connections, sockets        *prometheus.Desc
}

func newMetrics(registerer prometheus.Registerer, s *Set) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "backlot_gateway_http3_" + name, Help: help})
	}
	m := &metrics{
		accepted:    counter("connections_total", "HTTP/3 connections of clients."),
		refused:     counter("connections_refused_total", "HTTP/3 connections of clients that a bound refused."),
		requests:    counter("requests_total", "Requests over HTTP/3."),
		set:         s,
		connections: prometheus.NewDesc("backlot_gateway_http3_connections", "Open HTTP/3 connections of clients.", nil, nil),
		sockets: prometheus.NewDesc("backlot_gateway_http3_sockets",
			"UDP addresses by state: open, waiting for one that is in use, draining.", []string{"state"}, nil),
	}
	if registerer != nil {
		registerer.MustRegister(m.accepted, m.refused, m.requests, m)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.connections
	to <- m.sockets
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	var conns, open, waiting int
	m.set.mu.Lock()
	for _, one := range m.set.sockets {
		if one.alternative() != nil {
			open++
		} else {
			waiting++
		}
		conns += one.count()
	}
	draining := len(m.set.retired)
	for one := range m.set.retired {
		conns += one.count()
	}
	m.set.mu.Unlock()
	gauge := func(of *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(m.connections, conns)
	gauge(m.sockets, open, "open")
	gauge(m.sockets, waiting, "waiting")
	gauge(m.sockets, draining, "draining")
}

func (k *socket) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns)
}
