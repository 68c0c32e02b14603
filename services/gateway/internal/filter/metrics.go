package filter

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of every exchange. Their handles are found when a route is
// compiled: nothing is looked up for a request.
type metrics struct {
	duration *prometheus.HistogramVec
	requests *prometheus.CounterVec
	sent     *prometheus.CounterVec
	refused  *prometheus.CounterVec
	verified *prometheus.CounterVec
	coded    *prometheus.CounterVec
	authz    *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backlot_gateway_request_duration_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_requests_total", Help: "Requests answered, by route and status class.",
		}, []string{"route", "class"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_sent_bytes_total", Help: "Bytes of answers' bodies.",
		}, []string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_policy_refusals_total", Help: "Requests that a policy of their route refused, by cause.",
		}, []string{"route", "cause"}),
		verified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_verifications_total",
			Help: "Signatures checked or made, not found among those remembered, by kind of what they sign.",
		}, []string{"kind"}),
		coded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_compressed_answers_total",
			Help: "Answers that could be compressed, by what was done: a coding, identity as the client asked, or full for want of a coder.",
		}, []string{"coding"}),
		authz: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "backlot_gateway_external_authorization_duration_seconds",
			Help:    "Time until the answer about a request, by cluster asked.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"cluster"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_gateway_in_flight_requests", Help: "Requests being answered.",
		}),
	}
	registerer.MustRegister(m.duration, m.requests, m.sent, m.refused, m.verified, m.coded, m.authz, m.inFlight)
	return m
}

// series are the handles of one route.
type series struct {
	route    string
	classes  [6]prometheus.Counter // by the status' first digit; 0: no answer was sent
	duration prometheus.Observer
	sent     prometheus.Counter
}

var classWords = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (m *metrics) series(route string) *series {
	s := &series{route: route, duration: m.duration.WithLabelValues(route), sent: m.sent.WithLabelValues(route)}
	for i, class := range classWords {
		s.classes[i] = m.requests.WithLabelValues(route, class)
	}
	return s
}

// forget takes a route out of what is told: it is of no configuration any
// more. Exchanges that still hold its handles count in vain.
func (m *metrics) forget(route string) {
	labels := prometheus.Labels{"route": route}
	m.duration.DeletePartialMatch(labels)
	m.requests.DeletePartialMatch(labels)
	m.sent.DeletePartialMatch(labels)
	m.refused.DeletePartialMatch(labels)
}
