package engine

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
	"github.com/backlot-video/backlot/services/recommender/internal/model"
)

// metrics of all tenants together.
type metrics struct {
	answers   *prometheus.CounterVec
	trainings *prometheus.CounterVec
	duration  prometheus.Histogram
	recall    *prometheus.GaugeVec
	views     prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_recommender_answers_total", Help: "Recommendations given, by strategy.",
		}, []string{"strategy"}),
		trainings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_recommender_trainings_total", Help: "Trainings ended, by result.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backlot_recommender_training_seconds", Help: "Duration of trainings.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}),
		recall: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backlot_recommender_recall_ratio", Help: "Recall at 10 on held-out views at the last training, of the model and of popularity.",
		}, []string{"ranking"}),
		views: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backlot_recommender_model_views", Help: "Pairs of viewer and video in the model trained last.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	memory := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "backlot_recommender_matrix_bytes", Help: "Memory of matrices, which is outside Go's heap with OpenBLAS.",
	}, func() float64 { return float64(blas.LiveBytes()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.answers, m.trainings, m.duration, m.recall, m.views, memory} {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) trained(took time.Duration, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.trainings.WithLabelValues(result).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *metrics) quality(trained *model.Model) {
	m.recall.WithLabelValues("model").Set(trained.Quality.Recall)
	m.recall.WithLabelValues("popularity").Set(trained.Quality.PopularityRecall)
	m.views.Set(float64(trained.Views))
}
