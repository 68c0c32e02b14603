package engine

import "github.com/prometheus/client_golang/prometheus"

// observer turns Status into metrics when they are asked for.
type observer struct {
	engine *Engine
	all    []gauge
}

type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *Status) float64
}

// Observe adds an engine's metrics to a registerer.
func Observe(e *Engine, registerer prometheus.Registerer) {
	if registerer == nil {
		return
	}
	o := &observer{engine: e}
	add := func(name, help string, kind prometheus.ValueType, value func(s *Status) float64) {
		o.all = append(o.all, gauge{prometheus.NewDesc("backlot_configstore_"+name, help, nil, nil), kind, value})
	}
	add("has_leader", "1 where this member knows a leader.", prometheus.GaugeValue, func(s *Status) float64 { return truth(s.Leader != 0) })
	add("leads", "1 where this member is the leader.", prometheus.GaugeValue, func(s *Status) float64 { return truth(s.Leader == s.ID) })
	add("members", "Members of the cluster, learners included.", prometheus.GaugeValue, func(s *Status) float64 { return float64(len(s.Members)) })
	add("learners", "Members that do not vote yet.", prometheus.GaugeValue, func(s *Status) float64 {
		n := 0
		for _, m := range s.Members {
			n += int(truth(m.Learner))
		}
		return float64(n)
	})
	add("alarms", "Alarms of the cluster, as for lack of space.", prometheus.GaugeValue, func(s *Status) float64 { return float64(len(s.Alarms)) })
	add("database_bytes", "Size of the database's file.", prometheus.GaugeValue, func(s *Status) float64 { return float64(s.SizeBytes) })
	add("database_used_bytes", "Of it in use.", prometheus.GaugeValue, func(s *Status) float64 { return float64(s.UsedBytes) })
	add("database_quota_bytes", "Most that it may be.", prometheus.GaugeValue, func(s *Status) float64 { return float64(s.QuotaBytes) })
	add("apply_lag_entries", "Entries that are decided and not yet applied.", prometheus.GaugeValue, func(s *Status) float64 {
		return float64(s.CommittedIndex - min(s.AppliedIndex, s.CommittedIndex))
	})
	add("leader_changes_total", "Leaders that this member saw come.", prometheus.CounterValue, func(s *Status) float64 { return float64(s.LeaderChanges) })
	add("step_downs_total", "Times that this member stopped leading.", prometheus.CounterValue, func(s *Status) float64 { return float64(s.StepDowns) })
	registerer.MustRegister(o)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (o *observer) Describe(to chan<- *prometheus.Desc) {
	for _, g := range o.all {
		to <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (o *observer) Collect(to chan<- prometheus.Metric) {
	status := o.engine.Status()
	for _, g := range o.all {
		to <- prometheus.MustNewConstMetric(g.desc, g.kind, g.value(&status))
	}
}
