package admission

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What would be refused is told before anybody reads what it is, and takes no
// place.
func TestLookRefusesWhatEnterWould(t *testing.T) {
	gate := open(t, Config{Limit: 2})
	work := Work{Tenant: "main", Cost: 64}
	look := func() error {
		hold, err := gate.Look(t.Context(), work)
		hold.Release()
		return err
	}
	if err := look(); err != nil {
		t.Errorf("before an idle gate: %v", err)
	}
	passes := make([]*Pass, 2)
	for i := range passes {
		var err error
		if passes[i], err = gate.Enter(t.Context(), Work{Tenant: "main"}); err != nil {
			t.Fatal(err)
		}
	}
	var refused *Refusal
	if err := look(); !errors.As(err, &refused) || refused.RetryAfter <= 0 {
		t.Errorf("before a full gate: %v", err)
	}
	if _, err := gate.Look(t.Context(), Work{Tenant: "main", Decided: true}); err != nil {
		t.Errorf("what is decided: %v", err)
	}
	for _, pass := range passes {
		pass.Done(Succeeded)
	}
	if load := gate.Load(); load.Waiting != 0 || load.InFlight != 0 {
		t.Errorf("something is left: %+v", load)
	}
	if err := look(); err != nil {
		t.Errorf("before an idle gate: %v", err)
	}
}

// Many come at once, and each that is let in is read for a while: it is not read
// for nothing.
func TestWhoIsReadIsLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := open(t, Config{})
		passes := full(t, gate) // 44 units of a millisecond
		work := Work{Tenant: "main"}
		var group sync.WaitGroup
		var read atomic.Int64
		for range 200 {
			group.Go(func() {
				hold, err := gate.Look(t.Context(), work)
				if err != nil {
					return
				}
				defer hold.Release()
				read.Add(1)
				time.Sleep(5 * time.Millisecond) // of the bubble's time
				held := work
				held.Hold = hold
				pass, err := gate.Enter(t.Context(), held)
				if err != nil {
					t.Error(err)
					return
				}
				pass.Done(Succeeded)
			})
		}
		time.Sleep(6 * time.Millisecond)
		if n := read.Load(); n < 10 || n > 32 {
			t.Errorf("%d were read, there is time for 32", n)
		}
		for _, pass := range passes {
			pass.Done(Succeeded)
		}
		group.Wait()
	})
}

// Room is kept until it is released, once, and for the tenant that asked.
func TestRoomIsKeptUntilItIsReleased(t *testing.T) {
	gate := open(t, Config{})
	full(t, gate)
	var holds []*Hold
	for {
		hold, err := gate.Look(t.Context(), Work{Tenant: "main"})
		if err != nil {
			break
		}
		holds = append(holds, hold)
	}
	hold, err := gate.Look(t.Context(), Work{Tenant: "another"})
	if err != nil {
		t.Errorf("a tenant is refused for what another holds: %v", err)
	}
	for _, hold := range append(holds, hold) {
		hold.Release()
		hold.Release()
	}
	if left := gate.core.queue.promised; left != 0 || len(gate.core.queue.kept) != 0 {
		t.Errorf("room for %d units is kept", left)
	}
	if _, err := gate.Look(t.Context(), Work{Tenant: "main"}); err != nil {
		t.Errorf("after %d were released: %v", len(holds), err)
	}
}
