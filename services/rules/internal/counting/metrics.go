package counting

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/rules/velocity"
)

// metrics are what an operator watches of velocity.
type metrics struct {
	published, failures, unconfirmed, replayed, followed, unreadable prometheus.Counter
	remote, unreachable, stoodIn                                     prometheus.Counter
	members                                                          prometheus.Gauge
	snapshotSeconds                                                  prometheus.Histogram
	snapshotBytes, snapshotAt                                        prometheus.Gauge
	snapshotFailures, badSnapshots                                   prometheus.Counter
}

func newMetrics(c *Counts) *metrics {
	total := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "backlot_rules_velocity_" + name + "_total", Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "backlot_rules_velocity_" + name, Help: help})
	}
	m := &metrics{
		published:   total("published_records", "Counted records that the journal took."),
		failures:    total("publish_failures", "Messages that the journal did not take; they are sent again."),
		unconfirmed: total("unconfirmed", "Answers given before the journal had what was counted for them."),
		replayed:    total("replayed_records", "Records counted from the journal after a start or a take-over."),
		followed:    total("followed_records", "Records of other replicas counted as their standby."),
		unreadable:  total("unreadable_entries", "Entries of the journal that were skipped."),
		remote:      total("remote_reads", "Keys asked of other replicas."),
		unreachable: total("unreachable_reads", "Keys that read as missing, since their replica did not answer in time."),
		stoodIn:     total("stand_in_reads", "Keys of a replica that did not answer in time, counted by its standby."),
		members:     gauge("replicas", "Replicas that share the counters; 0 before others are known."),
		snapshotSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_rules_velocity_snapshot_duration_seconds", Help: "Time to write a snapshot.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}),
		snapshotBytes:    gauge("snapshot_bytes", "Size of the last snapshot."),
		snapshotAt:       gauge("snapshot_timestamp_seconds", "When the last snapshot was written, in Unix time."),
		snapshotFailures: total("snapshot_failures", "Snapshots that could not be written."),
		badSnapshots:     total("bad_snapshots", "Snapshots that could not be read and were put aside."),
	}
	if registerer := c.config.Registerer; registerer != nil {
		registerer.MustRegister(m.published, m.failures, m.unconfirmed, m.replayed, m.followed, m.unreadable, m.remote,
			m.unreachable, m.stoodIn, m.members, m.snapshotSeconds, m.snapshotBytes, m.snapshotAt, m.snapshotFailures, m.badSnapshots)
		registerer.MustRegister(storeMetrics(c.Store)...)
		registerer.MustRegister(recorderMetrics(c.recorder)...)
	}
	return m
}

func recorderMetrics(r *recorder) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backlot_rules_velocity_pending_records", Help: "Counted records that wait for the journal.",
		}, func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(len(r.pending))
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "backlot_rules_velocity_unlogged_records_total", Help: "Counted records for which the buffer had no room while the journal was away; the next snapshot has them.",
		}, func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(r.dropped)
		}),
	}
}

func storeMetrics(counters *velocity.Store) []prometheus.Collector {
	gauge := func(name, help string, read func(velocity.Stats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "backlot_rules_velocity_" + name, Help: help},
			func() float64 { return float64(read(counters.Stats())) })
	}
	total := func(name, help string, read func(velocity.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "backlot_rules_velocity_" + name + "_total", Help: help},
			func() float64 { return float64(read(counters.Stats())) })
	}
	return []prometheus.Collector{
		gauge("keys", "Keys that velocity counters hold.", func(s velocity.Stats) int64 { return s.Keys }),
		gauge("bytes", "Memory of velocity counters.", func(s velocity.Stats) int64 { return s.Bytes }),
		gauge("warming_windows", "Windows counted for less than their length.", func(s velocity.Stats) int64 { return s.Warming }),
		total("evictions", "Keys dropped for lack of memory though they still counted.", func(s velocity.Stats) int64 { return s.Evicted }),
		total("expirations", "Keys dropped because their window had passed.", func(s velocity.Stats) int64 { return s.Expired }),
		total("late_events", "Events older than their window.", func(s velocity.Stats) int64 { return s.Late }),
		total("future_events", "Events ahead of the clock.", func(s velocity.Stats) int64 { return s.Future }),
		total("crowded_samples", "Samples not counted, since a field had too many units or a key too many steps.", func(s velocity.Stats) int64 { return s.Crowded }),
	}
}
