package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TestInitiatorsMayAskAnyCoordinator: two share a database, and initiators ask
// now this one, now that, several at once. Each branch is confirmed.
func TestInitiatorsMayAskAnyCoordinator(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		calls := &counter{calls: map[string]int{}}
		var both [2]*runner.Runner
		for i := range both {
			both[i] = run(t, s, calls, 15*time.Second)
		}
		const transactions, branches = 8, 4
		var all sync.WaitGroup
		for n := range transactions {
			all.Go(func() {
				key := runner.Key{TenantID: "main", XID: "order-1" + fmt.Sprint(n)}
				ask := func(step int) *runner.Runner { return both[(n+step)%2] }
				open := runner.Submission{Key: key, Spec: tcc.Spec{Mode: tcc.Initiator}, Wait: runner.WaitAccepted, Timeout: time.Minute}
				if _, err := ask(0).Submit(t.Context(), open); err != nil {
					t.Error(err)
				}
				for i := range branches {
					branch := tcc.Branch{ID: fmt.Sprint(i), Service: "shop", Action: "hold"}
					if err := ask(i).Register(t.Context(), key, branch); err != nil {
						t.Errorf("register %d of %s: %v", i, key.XID, err)
					}
				}
				status, err := ask(1).Confirm(t.Context(), key, runner.WaitConfirmed)
				if err != nil || status.State != tcc.Confirmed || len(status.Branches) != branches {
					t.Errorf("%s: %+v, %v", key.XID, status, err)
				}
			})
		}
		all.Wait()
		if got := len(told()); got != transactions {
			t.Errorf("%d ends were told, want %d", got, transactions)
		}
		for n := range transactions {
			for i := range branches {
				if name := fmt.Sprint("order-1"+fmt.Sprint(n), fmt.Sprint(i), tcc.Confirm); calls.calls[name] == 0 {
					t.Errorf("%s was not called", name)
				}
			}
		}
	})
}
