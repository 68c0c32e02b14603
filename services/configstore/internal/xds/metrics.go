package xds

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	streams   prometheus.Gauge
	snapshots prometheus.Counter
	failures  prometheus.Counter
	responses *prometheus.CounterVec
	rejected  *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	const prefix = "backlot_configstore_xds_"
	m := &metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "streams", Help: "Connected xDS clients.",
		}),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "snapshots_total", Help: "Configurations put into force.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "failures_total", Help: "Configurations or objects that could not be rendered.",
		}),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "responses_total", Help: "Responses sent, by type of resource.",
		}, []string{"type"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "rejections_total", Help: "Responses that a client refused, by type of resource.",
		}, []string{"type"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.streams, m.snapshots, m.failures, m.responses, m.rejected)
	}
	return m
}

// short is the label of a type.
func short(kind string) string {
	switch kind {
	case ClusterType:
		return "cluster"
	case EndpointType:
		return "endpoint"
	case ListenerType:
		return "listener"
	case RouteType:
		return "route"
	}
	return "other"
}
