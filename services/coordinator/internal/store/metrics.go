package store

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of one Store.
type metrics struct {
	queued  prometheus.Gauge
	batch   prometheus.Histogram
	commit  prometheus.Histogram
	refused prometheus.Counter
	removed prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		queued: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_coordinator_log_queued_writes",
			Help: "Writes of the log that wait for a batch.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_coordinator_log_batch_writes",
			Help: "Writes of the log in one commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_coordinator_log_commit_seconds",
			Help: "Time that a commit of the log takes.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_coordinator_log_refused_writes_total",
			Help: "Writes of the log that were refused because too many waited.",
		}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_coordinator_removed_transactions_total",
			Help: "Ended transactions that were removed after their time.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.queued, m.batch, m.commit, m.refused, m.removed)
	}
	return m
}
