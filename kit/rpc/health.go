package rpc

import (
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// faults are the codes by which a server says that it is its own fault.
var faults = []string{"unknown", "internal", "unavailable", "deadline_exceeded", "data_loss", "unimplemented"}

// NewServerHealth returns a function that sums up the calls of all servers of
// the registerer: how many ended well or by the caller's fault, how many by the
// server's, and within how many seconds 99 of 100 ended since the function was
// called before; 0 where there were none. It is for one caller.
func NewServerHealth(registerer prometheus.Registerer) func() (good, bad uint64, p99 float64) {
	duration := newServerMetrics(registerer).duration
	before := make(map[float64]uint64)
	return func() (good, bad uint64, p99 float64) {
		now := make(map[float64]uint64, len(durationBuckets))
		var count uint64
		metrics := make(chan prometheus.Metric, 64)
		go func() { duration.Collect(metrics); close(metrics) }()
		for metric := range metrics {
			read := new(dto.Metric)
			if metric.Write(read) != nil {
				continue
			}
			h := read.GetHistogram()
			count += h.GetSampleCount()
			if slices.ContainsFunc(read.GetLabel(), isFault) {
				bad += h.GetSampleCount()
			} else {
				good += h.GetSampleCount()
			}
			for _, bucket := range h.GetBucket() {
				now[bucket.GetUpperBound()] += bucket.GetCumulativeCount()
			}
		}
		now[math.Inf(1)] = count
		p99 = quantile(now, before)
		before = now
		return good, bad, p99
	}
}

func isFault(label *dto.LabelPair) bool {
	return label.GetName() == "code" && slices.Contains(faults, label.GetValue())
}

// quantile is the bound of the bucket that the 99th of 100 calls between two
// sums fell into; of those slower than all bounds, the highest.
func quantile(now, before map[float64]uint64) float64 {
	total := now[math.Inf(1)] - before[math.Inf(1)]
	if total == 0 {
		return 0
	}
	for _, bound := range durationBuckets {
		if (now[bound]-before[bound])*100 >= total*99 {
			return bound
		}
	}
	return durationBuckets[len(durationBuckets)-1]
}
