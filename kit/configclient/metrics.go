package configclient

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of a queue.
type metrics struct {
	shared  prometheus.Histogram
	refused prometheus.Counter
}

func releaseMetrics(registerer prometheus.Registerer) metrics {
	return newMetrics(registerer, "releases", "backlot_configclient_refused_total")
}

func readMetrics(registerer prometheus.Registerer) metrics {
	return newMetrics(registerer, "reads", "backlot_configclient_refused_reads_total")
}

func newMetrics(registerer prometheus.Registerer, what, refused string) metrics {
	return metrics{
		shared: registered(registerer, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "backlot_configclient_call_" + what,
			Help:    "How many " + what + " share a call to the configstore; those that go alone make none of these calls.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		})),
		refused: registered(registerer, prometheus.NewCounter(prometheus.CounterOpts{
			Name: refused,
			Help: "How many " + what + " were refused because too many waited to be sent.",
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
