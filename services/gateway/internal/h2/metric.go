package h2

import "github.com/prometheus/client_golang/prometheus"

// Metrics of servers and pools, made once and shared by all.
type Metrics struct {
	connections *prometheus.GaugeVec   // open, by side
	streams     *prometheus.CounterVec // opened, by side
	refused     *prometheus.CounterVec // streams, by side and reason
	errors      *prometheus.CounterVec // connections that ended by an error, by side and code
}

// NewMetrics registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	const namespace, subsystem = "backlot", "gateway_http2"
	m := &Metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "connections", Help: "Open HTTP/2 connections.",
		}, []string{"side"}),
		streams: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "streams_total", Help: "HTTP/2 streams that were opened.",
		}, []string{"side"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_streams_total",
			Help: "HTTP/2 streams that were refused, by reason.",
		}, []string{"side", "reason"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "connection_errors_total",
			Help: "HTTP/2 connections that ended by an error of the protocol, by its code.",
		}, []string{"side", "code"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.connections, m.streams, m.refused, m.errors)
	}
	return m
}

// counts are the metrics of one side.
type counts struct {
	connections prometheus.Gauge
	streams     prometheus.Counter
	full        prometheus.Counter // refused: too many at once on the connection
	busy        prometheus.Counter // refused: too many at once in the process
	malformed   prometheus.Counter
	errors      *prometheus.CounterVec
}

func (m *Metrics) side(name string) counts {
	return counts{
		connections: m.connections.WithLabelValues(name), streams: m.streams.WithLabelValues(name),
		full: m.refused.WithLabelValues(name, "full"), busy: m.refused.WithLabelValues(name, "busy"),
		malformed: m.refused.WithLabelValues(name, "malformed"),
		errors:    m.errors.MustCurryWith(prometheus.Labels{"side": name}),
	}
}
