package catalog

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/rules"
)

// metrics are what an operator watches. Labels are names of rulesets and
// actions, never of facts.
type metrics struct {
	evaluations *prometheus.CounterVec
	fired       *prometheus.CounterVec
	failed      prometheus.Counter
	latency     prometheus.Histogram
	unknown     *prometheus.CounterVec
	rejections  prometheus.Counter
	rejected    *prometheus.GaugeVec
	inForce     prometheus.Gauge
	compile     prometheus.Histogram
	lists       listMetrics
	currencies  prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rules_evaluations_total", Help: "Facts judged, by ruleset and verdict.",
		}, []string{"ruleset", "verdict"}),
		fired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rules_fired_total", Help: "Rules that fired, by ruleset, action and mode (live or shadow).",
		}, []string{"ruleset", "action", "mode"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_rules_evaluation_failures_total", Help: "Facts that could not be judged.",
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_rules_evaluation_duration_seconds", Help: "Time to judge one fact.",
			Buckets: []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2},
		}),
		unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rules_unknown_values_total", Help: "Values unknown though their fields were present, by cause (overflow, currency or rate).",
		}, []string{"cause"}),
		rejections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_rules_rejections_total", Help: "Versions of rulesets, lists and fact types that were refused.",
		}),
		rejected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backlot_rules_ruleset_rejected", Help: "1 while the newest version of a ruleset is not in force.",
		}, []string{"ruleset"}),
		inForce: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_rules_rulesets_in_force", Help: "Rulesets that judge facts.",
		}),
		compile: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_rules_compile_duration_seconds", Help: "Time to compile a ruleset and run its tests.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 4, 8),
		}),
		lists: newListMetrics(registerer),
		currencies: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_rules_rate_table_currencies", Help: "Currencies of the table of exchange rates in force.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.evaluations, m.fired, m.failed, m.latency, m.unknown, m.rejections, m.rejected, m.inForce, m.compile, m.currencies)
	}
	return m
}

func (m *metrics) judged(d *rules.Decision, took time.Duration) {
	m.latency.Observe(took.Seconds())
	m.evaluations.WithLabelValues(d.Ruleset, d.Action.String()).Inc()
	for _, rule := range d.Fired {
		m.fired.WithLabelValues(d.Ruleset, rule.Action.String(), "live").Inc()
	}
	for _, rule := range d.Shadow {
		m.fired.WithLabelValues(d.Ruleset, rule.Action.String(), "shadow").Inc()
	}
	if d.Unknown.Overflow > 0 {
		m.unknown.WithLabelValues("overflow").Add(float64(d.Unknown.Overflow))
	}
	if d.Unknown.Currency > 0 {
		m.unknown.WithLabelValues("currency").Add(float64(d.Unknown.Currency))
	}
	if d.Unknown.Rate > 0 {
		m.unknown.WithLabelValues("rate").Add(float64(d.Unknown.Rate))
	}
}

func (m *metrics) setRejected(ruleset string, rejected bool) {
	value := 0.0
	if rejected {
		value = 1
	}
	m.rejected.WithLabelValues(ruleset).Set(value)
}

// forget drops the series of a deleted ruleset.
func (m *metrics) forget(ruleset string) {
	labels := prometheus.Labels{"ruleset": ruleset}
	m.rejected.Delete(labels)
	m.evaluations.DeletePartialMatch(labels)
	m.fired.DeletePartialMatch(labels)
}
