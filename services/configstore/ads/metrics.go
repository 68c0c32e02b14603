package ads

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	streams   prometheus.Gauge
	snapshots prometheus.Counter
	passed    prometheus.Counter
	refused   *prometheus.CounterVec
	responses *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	parked    *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	const prefix = "backlot_configstore_xds_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name + "_total", Help: help}, labels)
	}
	m := &metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "streams", Help: "Connected xDS clients.",
		}),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "snapshots_total", Help: "Configurations put into force.",
		}),
		passed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "passed_over_total", Help: "Requests of unknown types or with too many names.",
		}),
		refused:   counter("refused_streams", "Streams that were refused.", "reason"),
		responses: counter("responses", "Responses sent, by type of resource.", "type"),
		rejected:  counter("rejections", "Responses that a client refused, by type of resource.", "type"),
		parked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "parked", Help: "Subscriptions that are parked at a version which the client refused.",
		}, []string{"type"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.streams, m.snapshots, m.passed, m.refused, m.responses, m.rejected, m.parked)
	}
	return m
}

func (m *metrics) park(k kind, parked bool) {
	gauge := m.parked.WithLabelValues(labels[k])
	if parked {
		gauge.Inc()
	} else {
		gauge.Dec()
	}
}
