package mq

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of one Client. Services and consumers are labels: there
// are as many as the program has.
type metrics struct {
	registerer  prometheus.Registerer
	published   *prometheus.CounterVec   // service
	unpublished *prometheus.CounterVec   // service
	lag         *prometheus.GaugeVec     // service
	unmarked    *prometheus.GaugeVec     // service
	handled     *prometheus.CounterVec   // consumer
	failed      *prometheus.CounterVec   // consumer
	parked      *prometheus.CounterVec   // consumer
	pending     *prometheus.GaugeVec     // consumer
	seconds     *prometheus.HistogramVec // consumer

	unconfirmed  *prometheus.GaugeVec   // consumer
	repeatedAcks *prometheus.CounterVec // consumer
	held         *prometheus.GaugeVec   // consumer
	ackPending   *prometheus.GaugeVec   // consumer
	redelivered  *prometheus.GaugeVec   // consumer
	age          *prometheus.GaugeVec   // consumer
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "backlot_mq_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "backlot_mq_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		registerer:  registerer,
		published:   counter("published_messages_total", "Messages that the broker took.", "service"),
		unpublished: counter("publish_failures_total", "Messages that the broker did not take; they are sent again.", "service"),
		lag:         gauge("outbox_lag_seconds", "Age of the oldest fact that waits in the outbox.", "service"),
		unmarked:    gauge("outbox_unmarked_facts", "Rows of facts that the broker has and that are not marked as sent yet.", "service"),
		handled:     counter("handled_messages_total", "Messages that a handler took.", "consumer"),
		failed:      counter("failed_attempts_total", "Attempts of a handler that failed.", "consumer"),
		parked:      counter("parked_messages_total", "Messages set aside, since no attempt succeeded.", "consumer"),
		pending:     gauge("pending_messages", "Messages that wait at the broker.", "consumer"),

		unconfirmed:  gauge("unconfirmed_acks", "Acknowledgements sent that the broker has not confirmed.", "consumer"),
		repeatedAcks: counter("repeated_acks_total", "Acknowledgements sent again, since no confirmation came.", "consumer"),
		held:         gauge("held_bytes", "Bytes of messages that wait in this process or are worked on.", "consumer"),
		ackPending:   gauge("ack_pending_messages", "Messages handed out and not acknowledged, of all processes.", "consumer"),
		redelivered:  gauge("redelivered_messages", "Messages not acknowledged that were handed out more than once.", "consumer"),
		age:          gauge("oldest_pending_seconds", "Age of the oldest message that is not acknowledged; 0 where there is none.", "consumer"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backlot_mq_handle_seconds", Help: "Time that an attempt of a handler takes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"consumer"}),
	}
	if registerer == nil {
		return m, nil
	}
	for i, collector := range m.all() {
		if err := registerer.Register(collector); err != nil {
			for _, registered := range m.all()[:i] {
				registerer.Unregister(registered)
			}
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.published, m.unpublished, m.lag, m.unmarked, m.handled, m.failed, m.parked, m.pending, m.seconds,
		m.unconfirmed, m.repeatedAcks, m.held, m.ackPending, m.redelivered, m.age,
	}
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, collector := range m.all() {
		m.registerer.Unregister(collector)
	}
}
