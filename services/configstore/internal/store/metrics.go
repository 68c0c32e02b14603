package store

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	releases  *prometheus.CounterVec
	changes   prometheus.Counter
	conflicts prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, hub *Hub) metrics {
	m := metrics{
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_configstore_releases_total", Help: "Releases by result: applied, refused or busy.",
		}, []string{"result"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configstore_changes_total", Help: "Objects written by releases.",
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configstore_conflicts_total", Help: "Releases tried again because others were faster.",
		}),
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.releases, m.changes, m.conflicts,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_revision", Help: "Newest revision given to subscribers.",
		}, func() float64 { return float64(hub.Revision()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_subscribers", Help: "Open watches of objects.",
		}, func() float64 { return float64(hub.countSubscribers()) }),
	)
	return m
}
