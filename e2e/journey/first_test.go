package journey

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

// firstStart is about how long the first start takes, in which every service
// makes its folders, databases, keys and first objects.
const firstStart = 800 * time.Millisecond

// TestFirstStartSurvivesKills kills new installations in their first starts,
// each up to three times; the next start must come through and take orders.
func TestFirstStartSurvivesKills(t *testing.T) {
	seed, installations := uint64(number(t, "BACKLOT_SEED", int(time.Now().UnixNano()&0x7fffffff))), number(t, "BACKLOT_INSTALLATIONS", 8)
	t.Logf("BACKLOT_SEED=%d BACKLOT_INSTALLATIONS=%d", seed, installations)
	random := rand.New(rand.NewPCG(seed, 1))
	for range installations {
		node := cluster.NewNode(t, cluster.Crash)
		var delays []time.Duration
		for range 1 + random.IntN(3) {
			delays = append(delays, time.Duration(random.Int64N(int64(firstStart))))
			p := node.Start(nil, nil)
			timer := time.NewTimer(delays[len(delays)-1])
			select {
			case <-timer.C:
			case <-p.Ended():
				timer.Stop()
				t.Fatalf("killed after %v: it ended by itself:\n%s", delays, p.Tail())
			}
			p.Kill()
		}
		up := node.Start(nil, nil)
		if _, err := up.WaitReady(node.Ops); err != nil {
			t.Fatalf("killed after %v: %v", delays, err)
		}
		if _, err := client.Operator(t.Context(), node.URL(), node.OperatorKey()); err != nil {
			t.Errorf("killed after %v: %v", delays, err)
		}
		up.Stop()
	}
}
