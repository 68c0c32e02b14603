package intake

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	uploads  *prometheus.CounterVec // by what became of them
	refused  *prometheus.CounterVec // by reason
	received prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) metrics {
	m := metrics{
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_transcoder_uploads_total", Help: "Uploads by what became of them: created, finished, deleted, expired.",
		}, []string{"state"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_transcoder_upload_refusals_total", Help: "Requests for uploads that were refused, by reason.",
		}, []string{"reason"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_transcoder_upload_bytes_total", Help: "Bytes of uploads received.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.uploads, m.refused, m.received)
	}
	return m
}
