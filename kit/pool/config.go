package pool

import (
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config tells how large a pool is. Zero fields mean the defaults.
type Config struct {
	Service      string                // required: owner, in names of metrics
	Name         string                // required: what it does, in names of metrics
	Workers      int                   // default one per CPU
	Queue        int                   // jobs that may wait; default twice Workers
	DrainTimeout time.Duration         // default 10 s
	Log          *slog.Logger          // default none
	Registerer   prometheus.Registerer // default no metrics
	Clock        func() time.Time      // measures jobs; default time.Now
}

// Validate returns every fault, joined.
func (c Config) Validate() error {
	var faults []error
	check := func(holds bool, fault string) {
		if !holds {
			faults = append(faults, errors.New(fault))
		}
	}
	check(c.Service != "", "service: it is empty")
	check(c.Name != "", "name: it is empty")
	check(c.Workers >= 0, "workers: it is negative")
	check(c.Queue >= 0, "queue: it is negative")
	check(c.DrainTimeout >= 0, "drain_timeout: it is negative")
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Queue == 0 {
		c.Queue = 2 * c.Workers
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

type metrics struct {
	registerer prometheus.Registerer
	queued     prometheus.Gauge
	running    prometheus.Gauge
	refused    prometheus.Counter
	panics     prometheus.Counter
	seconds    prometheus.Histogram
}

func newMetrics(cfg Config) (*metrics, error) {
	name := func(noun string) string { return prometheus.BuildFQName("backlot", cfg.Service, cfg.Name+"_"+noun) }
	m := &metrics{
		registerer: cfg.Registerer,
		queued:     prometheus.NewGauge(prometheus.GaugeOpts{Name: name("queued_jobs"), Help: "Jobs that wait."}),
		running:    prometheus.NewGauge(prometheus.GaugeOpts{Name: name("running_jobs"), Help: "Jobs being worked on."}),
		refused:    prometheus.NewCounter(prometheus.CounterOpts{Name: name("refused_jobs_total"), Help: "Jobs that found the queue full."}),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: name("panicked_jobs_total"), Help: "Jobs that panicked."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("job_seconds"), Help: "Time that a job takes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}),
	}
	if m.registerer == nil {
		return m, nil
	}
	for i, collector := range m.all() {
		if err := m.registerer.Register(collector); err != nil {
			for _, registered := range m.all()[:i] {
				m.registerer.Unregister(registered)
			}
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.queued, m.running, m.refused, m.panics, m.seconds}
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, collector := range m.all() {
		m.registerer.Unregister(collector)
	}
}
