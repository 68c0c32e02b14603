package journey

import (
	"os"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/lifecycle"
)

func TestMain(m *testing.M) {
	if os.Getenv(runWarehouse) != "" {
		os.Exit(lifecycle.Execute(warehouseName, os.Args[1:], warehouse{}))
	}
	os.Exit(cluster.Main(m))
}

func TestJourneyTwiceOnTheSameData(t *testing.T) {
	node := cluster.NewNode(t, cluster.Race)
	for range 2 {
		up := node.Up()
		for range 2 {
			began := time.Now()
			receipt, err := node.Demo(t.Context(), 3*time.Minute, "--catalogue", "12", "--viewers", "60")
			if err != nil {
				t.Fatalf("%v\n%s", err, up.Tail())
			}
			t.Logf("journey in %v:%s", time.Since(began).Round(time.Millisecond), receipt)
		}
		verify(t, node, up.PID())
		up.Stop()
	}
}
