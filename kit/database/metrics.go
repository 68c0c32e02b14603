package database

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one DB.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector
	clock      func() time.Time
	queued     prometheus.Gauge
	batch      prometheus.Histogram
	commit     prometheus.Histogram
	moved      prometheus.Histogram
	refused    prometheus.Counter
	retries    prometheus.Counter
}

func newMetrics(cfg Config) (*metrics, error) {
	name := func(noun string) string { return prometheus.BuildFQName("backlot", cfg.Service, noun) }
	m := &metrics{
		registerer: cfg.Registerer, clock: cfg.Clock,
		queued: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("database_queued_writes"), Help: "Writes that wait for the writer.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("database_batch_writes"), Help: "Writes in one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("database_commit_seconds"), Help: "Time that a commit takes.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
		}),
		moved: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("database_checkpoint_seconds"), Help: "Time that moving pages from SQLite's log to its file takes, beside commits.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("database_refused_writes_total"), Help: "Writes whose caller's time ended before they ran.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("database_retries_total"), Help: "Transactions that ran again after a conflict.",
		}),
	}
	for _, collector := range []prometheus.Collector{m.queued, m.batch, m.commit, m.moved, m.refused, m.retries} {
		if err := m.register(collector); err != nil {
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) register(collector prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	if err := m.registerer.Register(collector); err != nil {
		return err
	}
	m.registered = append(m.registered, collector)
	return nil
}

func (m *metrics) unregister() {
	for _, collector := range m.registered {
		m.registerer.Unregister(collector)
	}
}
