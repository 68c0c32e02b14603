package runner_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TestEndedTransactionsAreRemovedAfterTheirTime: more than a batch of them, and
// nothing that is younger or has not ended.
func TestEndedTransactionsAreRemovedAfterTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		now := time.Now()
		put := func(xid string, state tcc.State, age time.Duration) {
			at := now.Add(-age)
			m.rows[key(xid)] = &row{Transaction: runner.Transaction{Key: key(xid), State: state, UpdatedAt: at}}
		}
		const old = 1200
		for i := range old {
			put(fmt.Sprint(i), tcc.Confirmed, 2*time.Hour)
		}
		put("young", tcc.Cancelled, time.Minute)
		put("parked", tcc.Parked, 2*time.Hour)
		count := func() int {
			m.mu.Lock()
			defer m.mu.Unlock()
			return len(m.rows)
		}
		start(t, m, newParticipants(m), nil, runner.Config{})
		pass(time.Hour)
		if n := count(); n != old+2 {
			t.Errorf("%d are left where all are to be kept", n)
		}
		start(t, m, newParticipants(m), nil, runner.Config{Retention: 4 * time.Hour})
		pass(time.Minute)
		if n := count(); n != old+2 {
			t.Errorf("%d are left before their time", n)
		}
		pass(time.Hour)
		if n := count(); n != 2 {
			t.Errorf("%d are left, want 2", n)
		}
	})
}
