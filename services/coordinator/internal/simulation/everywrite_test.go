package simulation

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TestDeathAtEveryWrite kills the coordinator before and after the first
// write, the second, and so on, until a life has fewer: for each protocol,
// confirmed and refused, with nothing else that goes wrong.
func TestDeathAtEveryWrite(t *testing.T) {
	deaths := 0
	for _, mode := range []tcc.Mode{tcc.TCC, tcc.Saga, tcc.Initiator} {
		for _, refuse := range []float64{0, 0.5} {
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					name := fmt.Sprintf("%v, refusals %v, write %d, after %v", mode, refuse, at, after)
					var w *world
					synctest.Test(t, func(*testing.T) {
						w = newWorld(uint64(at), true)
						w.profile = profile{refuse: refuse, transactions: 3, storm: 4 * time.Second, hosts: 1}
						w.hosts = w.hosts[:1]
						w.mode, w.crashAt, w.crashAfter = mode, at, after
						w.run()
					})
					if len(w.faults) > 0 {
						t.Fatalf("%s: %s\n%s", name, strings.Join(w.faults, "; "), strings.Join(w.trace, "\n"))
					}
					died := w.met["death before a write"] + w.met["death after a write"]
					if died > 1 {
						t.Fatalf("%s: %d deaths", name, died)
					}
					if deaths += died; died == 0 {
						break
					}
				}
			}
		}
	}
	if deaths < 200 {
		t.Errorf("only %d deaths", deaths)
	}
	t.Logf("%d deaths", deaths)
}
