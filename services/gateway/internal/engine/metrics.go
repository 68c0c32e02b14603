package engine

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	accepted, refused, requests, malformed, handshakes prometheus.Counter
	server                                             *Server
	states                                             *prometheus.Desc
}

func newMetrics(registerer prometheus.Registerer, s *Server) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "backlot_gateway_" + name, Help: help})
	}
	m := &metrics{
		accepted:   counter("connections_total", "Connections of clients."),
		refused:    counter("connections_refused_total", "Connections of clients that a bound refused."),
		requests:   counter("http1_requests_total", "Requests over HTTP/1.1 and 1.0; with connections_total, how often connections are reused."),
		malformed:  counter("malformed_requests_total", "Requests whose head was refused."),
		handshakes: counter("tls_handshakes_failed_total", "TLS handshakes of clients that failed."),
		server:     s,
		states: prometheus.NewDesc("backlot_gateway_open_connections",
			"Connections of clients by what they are doing.", []string{"state"}, nil),
	}
	if registerer != nil {
		registerer.MustRegister(m.accepted, m.refused, m.requests, m.malformed, m.handshakes, m)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) { to <- m.states }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	var count [phases]int
	m.server.mu.Lock()
	for c := range m.server.conns {
		count[c.phase.Load()]++
	}
	foreign := len(m.server.foreign)
	m.server.mu.Unlock()
	if loops := m.server.loops; loops != nil {
		n := loops.Counts()
		count[idle] += n.Idle
		count[heading] += n.Heading
		count[serving] += n.Serving
	}
	for p, n := range count {
		to <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(n), phase(p).String())
	}
	to <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(foreign), "http2")
}
