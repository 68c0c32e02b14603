package xds

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	failures prometheus.Counter
	canary   *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	const prefix = "backlot_configstore_xds_"
	m := &metrics{
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "failures_total", Help: "Configurations or objects that could not be rendered.",
		}),
		canary: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "canary", Help: "1 while a release is tried by canaries, or refused by one.",
		}, []string{"state"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.failures, m.canary)
	}
	m.held(false, false)
	return m
}

func (m *metrics) held(trying, blocked bool) {
	set := func(state string, on bool) {
		value := 0.0
		if on {
			value = 1
		}
		m.canary.WithLabelValues(state).Set(value)
	}
	set("trying", trying && !blocked)
	set("refused", blocked)
}
