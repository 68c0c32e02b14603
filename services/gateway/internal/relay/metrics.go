package relay

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	retries *prometheus.CounterVec
	hedges  *prometheus.CounterVec
	mirrors *prometheus.CounterVec
	tunnels prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_retries_total", Help: "Requests sent again to another endpoint.",
		}, []string{"cluster"}),
		hedges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_hedges_total", Help: "Second copies of requests that had no answer in time.",
		}, []string{"cluster"}),
		mirrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_mirrored_total", Help: "Copies of requests, by what became of them: sent, failed, or dropped by a bound.",
		}, []string{"result"}),
		tunnels: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_gateway_open_tunnels", Help: "Connections that have changed their protocol.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.retries, m.hedges, m.mirrors, m.tunnels)
	}
	return m
}
