package matcher

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/settlement/internal/match"
)

type metrics struct {
	found                 *prometheus.CounterVec // kind
	repaired              prometheus.Counter
	waiting, open, oldest prometheus.Gauge
}

// newMetrics registers, unless registerer is nil.
func newMetrics(registerer prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "backlot_settlement_" + name, Help: help})
	}
	m := &metrics{
		found: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_settlement_differences_found_total",
			Help: "Differences found between orders, global transactions and transfers.",
		}, []string{"kind"}),
		repaired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_settlement_differences_repaired_total", Help: "Differences that a later fact closed.",
		}),
		waiting: gauge("matches_waiting", "Global transactions whose facts are not all here."),
		open:    gauge("differences_open", "Differences between orders, global transactions and transfers that nobody has closed."),
		oldest:  gauge("matches_oldest_seconds", "Age of the oldest global transaction whose facts are not all here."),
	}
	for _, kind := range match.Kinds() {
		m.found.WithLabelValues(string(kind)) // so that an increase shows from the first on
	}
	if registerer != nil {
		registerer.MustRegister(m.found, m.repaired, m.waiting, m.open, m.oldest)
	}
	return m
}
