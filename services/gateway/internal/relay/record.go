package relay

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	duration *prometheus.HistogramVec
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	refused  *prometheus.CounterVec
	retries  *prometheus.CounterVec
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
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_sent_bytes_total", Help: "Bytes of answers' bodies.",
		}, []string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_refused_total", Help: "Requests and retries that a cluster's bound refused.",
		}, []string{"cluster", "bound"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_gateway_retries_total", Help: "Requests sent again to another endpoint.",
		}, []string{"cluster"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_gateway_in_flight_requests", Help: "Requests being answered.",
		}),
	}
	registerer.MustRegister(m.duration, m.requests, m.bytes, m.refused, m.retries, m.inFlight)
	return m
}

// record watches one answer as it is written.
type record struct {
	http.ResponseWriter
	metrics *metrics
	began   time.Time
	route   string
	status  int
	bytes   int64
}

func (m *metrics) begin(w http.ResponseWriter, now time.Time) *record {
	m.inFlight.Inc()
	return &record{ResponseWriter: w, metrics: m, began: now, route: "none"}
}

func (r *record) end(clock func() time.Time) {
	m := r.metrics
	m.inFlight.Dec()
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(r.route, strconv.Itoa(status/100)+"xx").Inc()
	m.bytes.WithLabelValues(r.route).Add(float64(r.bytes))
	m.duration.WithLabelValues(r.route).Observe(clock().Sub(r.began).Seconds())
}

// WriteHeader implements http.ResponseWriter.
func (r *record) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way open for sendfile.
func (r *record) ReadFrom(source io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, source)
	r.bytes += n
	return n, err
}

// Flush implements http.Flusher.
func (r *record) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Hijack implements http.Hijacker, for upgrades.
func (r *record) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, able := r.ResponseWriter.(http.Hijacker)
	if !able {
		return nil, nil, errors.ErrUnsupported
	}
	return hijacker.Hijack()
}

// Unwrap serves http.ResponseController.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }
