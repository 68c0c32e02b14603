package gate_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/gate"
	"github.com/backlot-video/backlot/kit/testport"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// TestGatewaysShareALimit: two of them, each asked for four times the rate,
// hold one limit, also when the configstore is gone.
func TestGatewaysShareALimit(t *testing.T) {
	const rate, burst = 200, 50
	config := objects(gate.NewBackend(t, "a", ""))
	limited := gate.Route("/128", "backends")
	limited.Policy.RateLimits = []*gatewayv1.RateLimit{{Name: "all", Rate: rate, Burst: burst, Global: true}}
	config["Route/limited"] = limited
	g := gate.New(t, config)
	second := testport.Address(t)
	ops := testport.Address(t)
	other := g.StartAnyway("--data-dir", filepath.Join(t.TempDir(), "gateway"), "--gateway.listen", second,
		"--gateway.rpc-listen", testport.Address(t), "--ops-listen", ops)
	if _, err := other.WaitReady(ops); err != nil {
		t.Fatal(err)
	}
	loads := []*gate.Load{gate.NewLoad(t, g.Address, "/128", 4, 5*time.Millisecond), gate.NewLoad(t, second, "/128", 4, 5*time.Millisecond)}
	during := func(what string, d time.Duration, least float64) {
		t.Helper()
		before := []int64{loads[0].Passed(), loads[1].Passed()}
		began := time.Now()
		<-time.After(d)
		seconds := time.Since(began).Seconds()
		first, second := float64(loads[0].Passed()-before[0]), float64(loads[1].Passed()-before[1])
		t.Logf("%s: %.0f and %.0f a second pass of %d", what, first/seconds, second/seconds, rate)
		if total := first + second; total < least*rate*seconds || total > rate*(seconds+1)+3*burst {
			t.Errorf("%s: %.0f pass in %.1f s, want about %.0f", what, total, seconds, rate*seconds)
		}
		if part := 0.5 * rate * seconds; first < 0.75*least*part || second < 0.75*least*part {
			t.Errorf("%s: %.0f and %.0f pass in %.1f s, want about %.0f each", what, first, second, seconds, part)
		}
	}
	during("at first", 2*time.Second, 0.8)
	during("by slices", 4*time.Second, 0.8)
	g.Store.Kill()
	during("as the configstore goes", 3*time.Second, 0.5) // for a second it may be a call that was lost
	during("by shares", 4*time.Second, 0.8)
}
