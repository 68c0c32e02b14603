//go:build soak

package journey

import (
	"os"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
)

const (
	// warmUp is the number of journeys after which memory should stay.
	warmUp = 5
	// growth is what caches and the larger data may add to it.
	growth = 64 << 20
)

// TestSoak drives journeys one after the other for BACKLOT_SOAK (default
// 3m): memory stays, and the books hold at the end.
func TestSoak(t *testing.T) {
	lasts := 3 * time.Minute
	if text := os.Getenv("BACKLOT_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("BACKLOT_SOAK: %v", err)
		}
	}
	node := cluster.NewNode(t, cluster.Plain)
	up := node.Up()
	warm := int64(0)
	journeys := 0
	for end := time.Now().Add(lasts); time.Now().Before(end) || journeys <= warmUp; journeys++ {
		if _, err := node.Demo(t.Context(), 2*time.Minute, "--catalogue", "6", "--viewers", "60"); err != nil {
			t.Fatalf("journey %d: %v\n%s", journeys, err, up.Tail())
		}
		if journeys == warmUp {
			warm = resident(t, up.PID())
		}
	}
	verify(t, node, up.PID())
	last := resident(t, up.PID())
	t.Logf("%d journeys; %d MB resident after %d, %d MB at the end", journeys, warm>>20, warmUp, last>>20)
	if last > warm+growth {
		t.Errorf("memory grew from %d to %d MB", warm>>20, last>>20)
	}
	up.Stop()
}
