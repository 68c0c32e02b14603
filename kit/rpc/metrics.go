package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// durationBuckets are upper bounds in seconds.
var durationBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

var callLabels = []string{"service", "method", "code", "transport"}

type serverMetrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
}

func newServerMetrics(registerer prometheus.Registerer) *serverMetrics {
	return &serverMetrics{
		duration: register(registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "backlot_rpc_server_duration_seconds",
			Help:    "Time that calls took at the server, refused ones included.",
			Buckets: durationBuckets,
		}, callLabels)),
		inFlight: register(registerer, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_rpc_server_in_flight",
			Help: "Calls and streams that servers of the process are working on.",
		})),
		refused: register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rpc_server_refused_total",
			Help: "Calls that a server refused for its own sake, by reason: in_flight or shutdown.",
		}, []string{"reason"})),
	}
}

type clientMetrics struct {
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	refused  *prometheus.CounterVec
	retries  *prometheus.CounterVec
	breaker  *prometheus.GaugeVec
	held     *prometheus.GaugeVec
}

func newClientMetrics(registerer prometheus.Registerer) *clientMetrics {
	target := []string{"target"}
	return &clientMetrics{
		duration: register(registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "backlot_rpc_client_duration_seconds",
			Help:    "Time that calls took at the client, retries and refusals included.",
			Buckets: durationBuckets,
		}, callLabels)),
		inFlight: register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backlot_rpc_client_in_flight",
			Help: "Calls to a service that have not ended.",
		}, target)),
		refused: register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rpc_client_refused_total",
			Help: "Calls and retries that were not sent, by reason: breaker, in_flight, retry_budget or throttle.",
		}, []string{"target", "reason"})),
		retries: register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rpc_client_retries_total",
			Help: "Tries of calls after their first.",
		}, target)),
		breaker: register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backlot_rpc_client_breaker_open",
			Help: "1 while the circuit breaker of a service is open or probing.",
		}, target)),
		held: register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backlot_rpc_client_throttles",
			Help: "Methods of a service and tenants whose calls are counted so as to hold some back when it is busy; at most 4,096.",
		}, target)),
	}
}

// register returns the collector that is registered under the name already,
// where servers or clients of one process share a registerer.
func register[C prometheus.Collector](registerer prometheus.Registerer, collector C) C {
	err := registerer.Register(collector)
	if err == nil {
		return collector
	}
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) {
		if existing, same := taken.ExistingCollector.(C); same {
			return existing
		}
	}
	panic(err)
}

func curry(duration *prometheus.HistogramVec, service, method string) prometheus.ObserverVec {
	return duration.MustCurryWith(prometheus.Labels{"service": service, "method": method})
}

// measure observes the calls of one method.
func (m *serverMetrics) measure(method *rpcdesc.Method) Interceptor {
	duration := curry(m.duration, method.Service, method.Name)
	return func(next Handler) Handler {
		return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
			begin := time.Now()
			res, err := next(ctx, method, req)
			duration.WithLabelValues(codeName(err), callFrom(ctx).transport).Observe(time.Since(begin).Seconds())
			return res, err
		}
	}
}

// targetMetrics are those of the calls to one service.
type targetMetrics struct {
	inFlight       prometheus.Gauge
	breaker        prometheus.Gauge
	retries        prometheus.Counter
	refusedBreaker prometheus.Counter
	refusedFull    prometheus.Counter
	refusedBudget  prometheus.Counter
	refusedHeld    prometheus.Counter
	throttles      prometheus.Gauge
}

func (m *clientMetrics) of(service string) targetMetrics {
	return targetMetrics{
		inFlight:       m.inFlight.WithLabelValues(service),
		breaker:        m.breaker.WithLabelValues(service),
		retries:        m.retries.WithLabelValues(service),
		refusedBreaker: m.refused.WithLabelValues(service, "breaker"),
		refusedFull:    m.refused.WithLabelValues(service, "in_flight"),
		refusedBudget:  m.refused.WithLabelValues(service, "retry_budget"),
		refusedHeld:    m.refused.WithLabelValues(service, "throttle"),
		throttles:      m.held.WithLabelValues(service),
	}
}

// measure observes the calls of one method.
func (m *clientMetrics) measure(method *rpcdesc.Method) Interceptor {
	duration := curry(m.duration, method.Service, method.Name)
	return func(next Handler) Handler {
		return func(ctx context.Context, method *rpcdesc.Method, req proto.Message) (proto.Message, error) {
			begin := time.Now()
			res, err := next(ctx, method, req)
			duration.WithLabelValues(codeName(err), callFrom(ctx).transport).Observe(time.Since(begin).Seconds())
			return res, err
		}
	}
}
