package store

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	releases   *prometheus.CounterVec
	changes    prometheus.Counter
	conflicts  prometheus.Counter
	unreadable prometheus.Counter
	repeated   *prometheus.CounterVec
	batch      prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_configstore_releases_total", Help: "Releases by result: applied, refused or busy.",
		}, []string{"result"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configstore_changes_total", Help: "Objects written by releases.",
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configstore_conflicts_total", Help: "Releases tried again because others were faster.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configstore_unreadable_secrets_total", Help: "Reads of lists and releases that met a secret which cannot be opened.",
		}),
		repeated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_configstore_repeated_requests_total",
			Help: "Requests whose release was there already, by result: answered, or refused as they asked for something else.",
		}, []string{"result"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_configstore_transaction_releases", Help: "Releases that share a transaction.",
			Buckets: []float64{1, 2, 4, 8, 16, maxBatch},
		}),
	}
}

func (m metrics) register(registerer prometheus.Registerer, s *Store) {
	if registerer == nil {
		return
	}
	registerer.MustRegister(m.releases, m.changes, m.conflicts, m.unreadable, m.repeated, m.batch,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_queued_releases", Help: "Releases that wait for a transaction to begin; 4096 are the most.",
		}, func() float64 { return float64(s.commits.waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_known_requests", Help: "Releases that are known by their requests; 131072 are the most.",
		}, func() float64 { return float64(s.requests.size()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_secrets_unreadable", Help: "Secrets that could not be opened when they were read last: alert above 0.",
		}, func() float64 { return float64(s.unreadable.count.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_revision", Help: "Newest revision given to subscribers.",
		}, func() float64 { return float64(s.hub.Revision()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_configstore_subscribers", Help: "Open watches of objects.",
		}, func() float64 { return float64(s.hub.countSubscribers()) }),
	)
}
