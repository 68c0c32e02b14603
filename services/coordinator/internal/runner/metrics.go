package runner

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// metrics are those of one Runner.
type metrics struct {
	active    prometheus.Gauge
	refused   prometheus.Counter
	recovered prometheus.Counter
	lost      prometheus.Counter
	ended     *prometheus.CounterVec   // state
	duration  *prometheus.HistogramVec // state
	calls     *prometheus.HistogramVec // phase, outcome
}

var durationBuckets = prometheus.ExponentialBuckets(0.001, 2.5, 12)

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_coordinator_transactions_active",
			Help: "Transactions under way in this process.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_coordinator_refused_transactions_total",
			Help: "Submissions refused because too many transactions were under way.",
		}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_coordinator_recovered_transactions_total",
			Help: "Unfinished transactions taken up from the log.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_coordinator_lost_leases_total",
			Help: "Times that this process lost the lease on its transactions.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_coordinator_transactions_total",
			Help: "Transactions that were confirmed, cancelled or parked.",
		}, []string{"state"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backlot_coordinator_transaction_duration_seconds",
			Help: "From submission to the end.", Buckets: durationBuckets,
		}, []string{"state"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backlot_coordinator_phase_call_duration_seconds",
			Help: "Calls of participants.", Buckets: durationBuckets,
		}, []string{"phase", "outcome"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.active, m.refused, m.recovered, m.lost, m.ended, m.duration, m.calls)
	}
	return m
}

func (m *metrics) called(phase tcc.Phase, outcome tcc.Outcome, took time.Duration) {
	m.calls.WithLabelValues(phase.String(), outcome.String()).Observe(took.Seconds())
}

// settled counts a transaction that is no longer under way.
func (m *metrics) settled(state tcc.State, took time.Duration) {
	m.ended.WithLabelValues(state.String()).Inc()
	if state.Ended() {
		m.duration.WithLabelValues(state.String()).Observe(took.Seconds())
	}
}
