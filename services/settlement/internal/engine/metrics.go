package engine

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// maxTypes bounds the types of transfers that are counted apart: callers make
// them up.
const maxTypes = 32

type metrics struct {
	transfers *prometheus.CounterVec // type, state
	batch     prometheus.Histogram
	seconds   prometheus.Histogram
	refused   prometheus.Counter
	left      prometheus.Counter
	ahead     prometheus.Counter
	redone    prometheus.Counter

	mu    sync.Mutex
	types map[ledger.Type]map[ledger.State]prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		transfers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_settlement_transfers_total",
			Help: "Transfers that became pending, posted or voided.",
		}, []string{"type", "state"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_settlement_batch_requests", Help: "Requests in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 14),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_settlement_batch_seconds", Help: "Time that a batch takes, commit and all.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 12),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_settlement_refused_calls_total", Help: "Calls refused because too many waited.",
		}),
		left: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_settlement_left_calls_total", Help: "Calls whose caller's time ended before they were in a batch.",
		}),
		ahead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_settlement_ahead_batches_total", Help: "Batches that were applied while the one before was being written.",
		}),
		redone: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_settlement_redone_batches_total",
			Help: "Batches that were done again, since others had written or an idempotency key was known.",
		}),
		types: make(map[ledger.Type]map[ledger.State]prometheus.Counter),
	}
	if registerer != nil {
		registerer.MustRegister(m.transfers, m.batch, m.seconds, m.refused, m.left, m.ahead, m.redone)
	}
	return m
}

// count counts steps of transfers: those in a row that are alike at once.
func (m *metrics) count(all []*ledger.Transfer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for first := 0; first < len(all); {
		t, next := all[first], first+1
		for next < len(all) && all[next].Type == t.Type && all[next].State == t.State {
			next++
		}
		m.counter(t).Add(float64(next - first))
		first = next
	}
}

// counter is that of a transfer's step; mu is held.
func (m *metrics) counter(t *ledger.Transfer) prometheus.Counter {
	kind := t.Type
	states, known := m.types[kind]
	if !known {
		if len(m.types) >= maxTypes {
			kind = "other"
		}
		if states = m.types[kind]; states == nil {
			states = make(map[ledger.State]prometheus.Counter)
			m.types[kind] = states
		}
	}
	counter := states[t.State]
	if counter == nil {
		counter = m.transfers.WithLabelValues(string(kind), t.State.String())
		states[t.State] = counter
	}
	return counter
}
