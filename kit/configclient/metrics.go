package configclient

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	releases prometheus.Histogram
	refused  prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) metrics {
	return metrics{
		releases: registered(registerer, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "backlot_configclient_call_releases",
			Help:    "Releases that share a call to the configstore; those that go alone make none of these calls.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		})),
		refused: registered(registerer, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_configclient_refused_total",
			Help: "Releases that were refused because too many waited to be sent.",
		})),
	}
}

// registered returns the collector that other clients of the process have
// registered already, if there is one.
func registered[C prometheus.Collector](registerer prometheus.Registerer, collector C) C {
	if registerer == nil {
		return collector
	}
	err := registerer.Register(collector)
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) {
		return taken.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // two collectors of one name: a mistake in the program
	}
	return collector
}
