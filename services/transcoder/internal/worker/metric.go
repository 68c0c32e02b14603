package worker

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	jobs  *prometheus.CounterVec // attempts by how they ended
	cpu   prometheus.Counter
	media prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) metrics {
	m := metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_transcoder_attempts_total", Help: "Attempts at jobs by how they ended.",
		}, []string{"end"}),
		cpu: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_transcoder_ffmpeg_cpu_seconds_total", Help: "CPU time of FFmpeg in jobs that succeeded.",
		}),
		media: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_transcoder_media_seconds_total", Help: "Playing time of sources transcoded.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.jobs, m.cpu, m.media)
	}
	return m
}
