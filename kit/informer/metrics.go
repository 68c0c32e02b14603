package informer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are shared by all informers of one Registerer.
type metrics struct {
	objects   *prometheus.GaugeVec
	connected *prometheus.GaugeVec
	events    *prometheus.CounterVec
	lists     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	refused   *prometheus.CounterVec
	coalesced *prometheus.CounterVec
	resyncs   *prometheus.CounterVec

	// Those of this kind that change with every batch.
	held, following prometheus.Gauge
	changes         prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, kind string) metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return register(registerer, prometheus.NewGaugeVec(
			prometheus.GaugeOpts{Name: "backlot_informer_" + name, Help: help}, []string{"kind"}))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(registerer, prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "backlot_informer_" + name + "_total", Help: help},
			append([]string{"kind"}, labels...)))
	}
	m := metrics{
		objects:   gauge("objects", "Objects held."),
		connected: gauge("connected", "1 while the source is followed, 0 while the last good state is served."),
		events:    counter("events", "Changes applied."),
		lists:     counter("lists", "Whole listings taken over."),
		failures:  counter("failures", "Failed listings and broken watches.", "operation"),
		refused:   counter("refused", "Objects that could not be decoded."),
		coalesced: counter("coalesced", "Events left out because their handler was too slow: it is told of the newest state."),
		resyncs:   counter("resyncs", "Periodic rounds in which handlers were told of all objects."),
	}
	m.following = m.connected.WithLabelValues(kind)
	m.following.Set(0)
	m.held, m.changes = m.objects.WithLabelValues(kind), m.events.WithLabelValues(kind)
	return m
}

func (m *metrics) count(objects, events int) {
	m.held.Set(float64(objects))
	m.changes.Add(float64(events))
}

// register returns the collector that is already there under this name, if any.
func register[C prometheus.Collector](registerer prometheus.Registerer, collector C) C {
	if registerer == nil {
		return collector
	}
	err := registerer.Register(collector)
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if existing, same := twice.ExistingCollector.(C); same {
			return existing
		}
	}
	return collector
}
