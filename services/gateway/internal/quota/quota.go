// Package quota takes limits that hold for all gateways together from the
// configstore, which leases slices of their tokens. How slices are asked for
// and given out, and what is promised of the rate, stands in kit/quota; here
// it is joined to filters on one side and to calls on the other.
package quota

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/quota"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

const (
	// longestName of a limit as the configstore takes it.
	longestName = 256
	// digestBytes of a key: 100,000 keys share one by chance once in 10^28.
	digestBytes = 16
)

// Config is what a Quota needs.
type Config struct {
	Service  configstorev1.QuotaServiceServer // a client of it
	Replica  string                           // this process, and no other
	Replicas func() int                       // gateways, as far as is known; asked once a second
	Clock    func() time.Time
	Log      *slog.Logger
	// Registerer of the metrics.
	Registerer prometheus.Registerer
}

// Quota implements filter.Quota.
type Quota struct {
	config Config
	client *quota.Client
}

// New makes one that has no slices yet.
func New(config Config) *Quota {
	q := &Quota{config: config}
	q.client = quota.NewClient(quota.ClientConfig{
		Ask: q.ask, Clock: config.Clock, Replicas: config.Replicas, Log: config.Log,
		Registerer: config.Registerer, Service: "gateway",
	})
	return q
}

// Run asks for slices until ctx ends.
func (q *Quota) Run(ctx context.Context) error { return q.client.Run(ctx) }

// Limit implements filter.Quota.
func (q *Quota) Limit(name string, rate, burst float64) filter.Lease {
	if len(name) > longestName {
		digest := sha256.Sum256([]byte(name))
		tail := hex.EncodeToString(digest[:])
		name = name[:longestName-len(tail)] + tail
	}
	return lease{q.client.Limit(name, rate, burst)}
}

// lease implements filter.Lease.
type lease struct{ limit *quota.Limit }

var kinds = [...]filter.GrantKind{
	quota.Granted: filter.Granted, quota.Refused: filter.Refused, quota.Asked: filter.Asked, quota.Away: filter.Away,
}

// Take implements filter.Lease.
func (l lease) Take(key []byte, now time.Time) filter.Grant {
	grant := l.limit.Take(key, now)
	return filter.Grant{Kind: kinds[grant.Kind], Wait: grant.Wait}
}

// Share implements filter.Lease.
func (l lease) Share() float64 { return l.limit.Share() }

// ask calls the configstore. Keys, which may be addresses and names of people,
// leave the gateway as digests.
func (q *Quota) ask(ctx context.Context, asks []quota.Ask) (quota.Answer, error) {
	request := &configstorev1.LeaseRequest{Replica: q.config.Replica, Asks: make([]*configstorev1.QuotaAsk, len(asks))}
	for i := range asks {
		a := &asks[i]
		digest := sha256.Sum256([]byte(a.Key))
		request.Asks[i] = &configstorev1.QuotaAsk{
			Limit: a.Limit, Rate: a.Rate, Burst: a.Burst, Key: digest[:digestBytes],
			Want: a.Want, Demand: a.Demand, Spent: a.Spent, Unused: a.Unused,
		}
	}
	response, err := q.config.Service.Lease(ctx, request)
	if err != nil {
		return quota.Answer{}, err
	}
	answer := quota.Answer{Replicas: int(response.GetReplicas())}
	for _, s := range response.GetSlices() {
		answer.Slices = append(answer.Slices, quota.Slice{Tokens: s.GetTokens(), Free: s.GetFree(), Growth: s.GetGrowth()})
	}
	return answer, nil
}
