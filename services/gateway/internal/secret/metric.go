package secret

import "github.com/prometheus/client_golang/prometheus"

// fileLabel names the certificate of the settings' files.
const fileLabel = "(file)"

type metrics struct {
	expiry  *prometheus.GaugeVec   // by secret
	reloads *prometheus.CounterVec // by result
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	const namespace, subsystem = "backlot", "gateway_certificate"
	m := &metrics{
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "expiry_timestamp_seconds",
			Help: "When a certificate that is in force expires, by its secret's name.",
		}, []string{"secret"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "reloads_total",
			Help: "Changes of certificates, by result: accepted, or rejected with the old ones kept.",
		}, []string{"result"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.expiry, m.reloads)
	}
	return m
}

// describe tells of the certificates in force and forgets those that were.
func (m *metrics) describe(old, current map[string]*certificate) {
	for name := range old {
		if current[name] == nil {
			m.expiry.DeleteLabelValues(name)
		}
	}
	for name, c := range current {
		m.expiry.WithLabelValues(name).Set(c.expiry())
		if known := old[name]; known != nil && known != c {
			m.reloads.WithLabelValues("accepted").Inc()
		}
	}
}
