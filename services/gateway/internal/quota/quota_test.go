package quota_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	kitquota "github.com/backlot-video/backlot/kit/quota"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/quota"
)

// store answers as the configstore does, or not at all.
type store struct {
	mu     sync.Mutex
	ledger *kitquota.Ledger
	down   bool
	seen   []string
}

func (s *store) Lease(_ context.Context, r *configstorev1.LeaseRequest) (*configstorev1.LeaseResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("down")
	}
	response := &configstorev1.LeaseResponse{}
	for _, a := range r.GetAsks() {
		s.seen = append(s.seen, a.GetLimit()+" "+string(a.GetKey()))
		answer := s.ledger.Lease(r.GetReplica(), []kitquota.Ask{{
			Limit: a.GetLimit(), Rate: a.GetRate(), Burst: a.GetBurst(), Key: string(a.GetKey()),
			Want: a.GetWant(), Demand: a.GetDemand(), Spent: a.GetSpent(), Unused: a.GetUnused(),
		}}, time.Now())
		response.Replicas = int32(answer.Replicas)
		slice := answer.Slices[0]
		response.Slices = append(response.Slices, &configstorev1.QuotaSlice{Tokens: slice.Tokens, Free: slice.Free, Growth: slice.Growth})
	}
	return response, nil
}

func (s *store) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func TestTwoGatewaysShareALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{ledger: kitquota.NewLedger(kitquota.LedgerConfig{})}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var leases []filter.Lease
		for _, name := range []string{"a", "b"} {
			q := quota.New(quota.Config{
				Service: s, Replica: name, Replicas: func() int { return 2 }, Clock: time.Now, Registerer: prometheus.NewRegistry(),
			})
			running.Go(func() { _ = q.Run(ctx) })
			leases = append(leases, q.Limit(strings.Repeat("x", 300), 100, 50))
		}
		counts := map[filter.GrantKind]int{}
		take := func(n int) {
			for range n {
				for _, l := range leases {
					grant := l.Take([]byte("192.0.2.1"), time.Now())
					if counts[grant.Kind]++; grant.Kind == filter.Refused && grant.Wait <= 0 {
						t.Error("refused without a wait")
					}
				}
				time.Sleep(2 * time.Millisecond) // 1000 a second of both
			}
		}
		take(5000)
		if got := counts[filter.Granted] + counts[filter.Asked]; got < 980 || got > 1060 || counts[filter.Away] > 0 {
			t.Errorf("answers in 10 s are %v, want about 1050 granted", counts)
		}
		if share := leases[0].Share(); share != 0.5 {
			t.Errorf("share is %v", share)
		}
		s.set(true)
		take(1500)
		clear(counts)
		take(100)
		if counts[filter.Away] != 200 {
			t.Errorf("answers are %v while the configstore is away", counts)
		}
		for _, seen := range s.seen {
			if strings.Contains(seen, "192.0.2.1") || len(seen) != 256+1+16 {
				t.Fatalf("the configstore sees %q", seen)
			}
		}
		stop()
		running.Wait()
	})
}
