package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/quota"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Quota serves configstore.v1.QuotaService from memory. Each member holds an
// equal part of every limit, so that none has to ask another.
type Quota struct {
	ledger *quota.Ledger
	clock  func() time.Time
}

// NewQuota returns the service; members is how many serve it.
func NewQuota(clock func() time.Time, members func() int, registerer prometheus.Registerer) *Quota {
	q := &Quota{ledger: quota.NewLedger(quota.LedgerConfig{Parts: members}), clock: clock}
	gauge := func(name, help string, value func(quota.Counts) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "backlot_configstore_quota_" + name, Help: help},
			func() float64 { return value(q.ledger.Counts()) })
	}
	registerer.MustRegister(
		gauge("buckets", "Keys of limits of which a bucket is kept.", func(c quota.Counts) float64 { return float64(c.Buckets) }),
		gauge("replicas", "Replicas that have asked for tokens lately.", func(c quota.Counts) float64 { return float64(c.Replicas) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "backlot_configstore_quota_dropped_buckets_total", Help: "Buckets forgotten for want of room before they were full again.",
		}, func() float64 { return float64(q.ledger.Counts().Dropped) }),
	)
	return q
}

// Lease implements QuotaServiceServer.
func (q *Quota) Lease(ctx context.Context, request *configstorev1.LeaseRequest) (*configstorev1.LeaseResponse, error) {
	owner := tenant(ctx)
	asks := make([]quota.Ask, len(request.GetAsks()))
	for i, a := range request.GetAsks() {
		asks[i] = quota.Ask{
			Limit: owner + "/" + a.GetLimit(), Rate: a.GetRate(), Burst: a.GetBurst(), Key: string(a.GetKey()),
			Want: a.GetWant(), Demand: a.GetDemand(), Spent: a.GetSpent(), Unused: a.GetUnused(),
		}
	}
	answer := q.ledger.Lease(request.GetReplica(), asks, q.clock())
	response := &configstorev1.LeaseResponse{Replicas: int32(answer.Replicas)}
	for _, s := range answer.Slices {
		response.Slices = append(response.Slices, &configstorev1.QuotaSlice{Tokens: s.Tokens, Free: s.Free, Growth: s.Growth})
	}
	return response, nil
}
