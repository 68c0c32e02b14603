package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// mainTenant and other are tenants' labels, beside those that have a weight.
const (
	mainTenant = "main"
	other      = "other"
)

type metrics struct {
	registerer prometheus.Registerer
	all        []prometheus.Collector
	weights    map[string]int
	admitted   *prometheus.CounterVec // tenant
	refused    *prometheus.CounterVec // tenant, reason
	decided    prometheus.Counter
	gaveUp     prometheus.Counter
	late       prometheus.Counter
	tight      prometheus.Counter
	broken     prometheus.Gauge
	seconds    prometheus.Histogram
}

func newMetrics(cfg Config, load func() Load) (*metrics, error) {
	name := func(noun string) string { return prometheus.BuildFQName("backlot", cfg.Service, "admission_"+noun) }
	counter := func(noun, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name(noun), Help: help})
	}
	gauge := func(noun, help string, value func(Load) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name(noun), Help: help},
			func() float64 { return value(load()) })
	}
	m := &metrics{
		registerer: cfg.Registerer, weights: cfg.Weights,
		admitted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("admitted_jobs_total"), Help: "Jobs that were let through, without decided ones.",
		}, []string{"tenant"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("refused_jobs_total"), Help: "Jobs refused, by reason: deadline, overdue, full, share or breaker.",
		}, []string{"tenant", "reason"}),
		decided: counter("decided_jobs_total", "Jobs that nothing refuses, because they are decided."),
		gaveUp:  counter("left_jobs_total", "Jobs whose caller's time ended before they were let through."),
		late:    counter("late_jobs_total", "Jobs that were let through and done after their deadline."),
		tight:   counter("tight_jobs_total", "Jobs that were let through and done so shortly before their deadline that the answer may have come after it."),
		broken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("breaker_open"), Help: "1 while failures stop new jobs.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("job_seconds"), Help: "Time that a job takes, waiting and all.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	m.all = []prometheus.Collector{
		m.admitted, m.refused, m.decided, m.gaveUp, m.late, m.tight, m.broken, m.seconds,
		gauge("waiting_jobs", "Jobs that wait to be let through.", func(l Load) float64 { return float64(l.Waiting) }),
		gauge("in_flight_jobs", "Jobs that were let through and have not ended.", func(l Load) float64 { return float64(l.InFlight) }),
		gauge("window_units", "Units of work that are let through at a time.", func(l Load) float64 { return float64(l.Window) }),
		gauge("estimated_wait_seconds", "What the next job would take.", func(l Load) float64 { return l.Wait.Seconds() }),
		gauge("unit_seconds", "What a unit of work takes when there is much to do.", func(l Load) float64 { return l.Each.Seconds() }),
		gauge("margin_ratio", "By how much estimates are raised.", func(l Load) float64 { return l.Margin }),
	}
	if m.registerer == nil {
		return m, nil
	}
	for i, collector := range m.all {
		if err := m.registerer.Register(collector); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, err
		}
	}
	for _, reason := range reasons { // so that increases are seen from the first
		m.refused.WithLabelValues(mainTenant, string(reason))
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, collector := range m.all {
		m.registerer.Unregister(collector)
	}
}

// label bounds the tenants that are told apart.
func (m *metrics) label(tenant string) string {
	if _, weighed := m.weights[tenant]; weighed || tenant == mainTenant {
		return tenant
	}
	return other
}

func (m *metrics) admit(work Work) {
	if work.Decided {
		m.decided.Inc()
		return
	}
	m.admitted.WithLabelValues(m.label(work.Tenant)).Inc()
}

func (m *metrics) refuse(tenant string, reason Reason) {
	m.refused.WithLabelValues(m.label(tenant), string(reason)).Inc()
}

func (m *metrics) done(now time.Time, j *job) {
	m.seconds.Observe(now.Sub(j.entered).Seconds())
	switch {
	case j.deadline.IsZero() || !now.After(j.deadline):
	case now.After(j.deadline.Add(j.transit)):
		m.late.Inc()
	default:
		m.tight.Inc()
	}
}

func (m *metrics) trip(open bool) {
	m.broken.Set(0)
	if open {
		m.broken.Set(1)
	}
}
