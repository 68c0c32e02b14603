package runner_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// opened is an initiator's submission.
func opened(xid string, timeout time.Duration) runner.Submission {
	return runner.Submission{Key: key(xid), Wait: runner.WaitAccepted, Timeout: timeout, Spec: tcc.Spec{Mode: tcc.Initiator}}
}

// try registers a branch and calls its Try, as an initiator does.
func try(t *testing.T, c *coordinator, p *participants, xid, id string) {
	t.Helper()
	branch := tcc.Branch{ID: id, Service: "shop", Action: "hold"}
	if err := c.Register(t.Context(), key(xid), branch); err != nil {
		t.Fatal(err)
	}
	if outcome, problem := p.Call(t.Context(), key(xid), branch, tcc.Try); outcome != tcc.Succeeded {
		t.Fatalf("try of %s: %v %s", id, outcome, problem)
	}
}

func TestInitiatorDrivesItsTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		c := start(t, m, p, nil, runner.Config{})
		ctx := t.Context()
		for range 2 {
			if status, err := c.Submit(ctx, opened("x", 0)); err != nil || status.State != tcc.Trying {
				t.Fatalf("open: %v, %v", status.State, err)
			}
		}
		try(t, c, p, "x", "a")
		try(t, c, p, "x", "b")
		if err := c.Register(ctx, key("x"), tcc.Branch{ID: "a", Service: "other", Action: "hold"}); !errors.Is(err, tcc.ErrBranch) {
			t.Errorf("other content: %v", err)
		}
		for range 2 {
			status, err := c.Confirm(ctx, key("x"), runner.WaitConfirmed)
			if err != nil || status.State != tcc.Confirmed || len(status.Branches) != 2 || len(status.Spec.Branches) != 2 {
				t.Fatalf("confirm: %+v, %v", status, err)
			}
		}
		if _, err := c.Cancel(ctx, key("x"), 0, "late"); !errors.Is(err, tcc.ErrDecided) {
			t.Errorf("cancel after confirm: %v", err)
		}
		if err := c.Register(ctx, key("x"), tcc.Branch{ID: "c", Service: "s", Action: "a"}); !errors.Is(err, tcc.ErrDecided) {
			t.Errorf("register after confirm: %v", err)
		}
		if err := c.Register(ctx, key("none"), tcc.Branch{ID: "c", Service: "s", Action: "a"}); !errors.Is(err, runner.ErrNotFound) {
			t.Errorf("register with none: %v", err)
		}
		if _, err := c.Submit(ctx, submission("x", 0)); !errors.Is(err, runner.ErrConflict) {
			t.Errorf("submitted with the same xid: %v", err)
		}
		if err := p.settled(key("x")); err != nil || p.calls != 4 {
			t.Errorf("%d calls, %v", p.calls, err)
		}
	})
}

func TestInitiatorsTimeEndsInCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		c := start(t, m, p, nil, runner.Config{})
		if _, err := c.Submit(t.Context(), opened("x", 3*time.Second)); err != nil {
			t.Fatal(err)
		}
		try(t, c, p, "x", "a")
		pass(4 * time.Second)
		if _, err := c.Confirm(t.Context(), key("x"), 0); !errors.Is(err, tcc.ErrDecided) {
			t.Errorf("confirm after its time: %v", err)
		}
		if status, err := c.Cancel(t.Context(), key("x"), runner.WaitConfirmed, "late"); err != nil || status.State != tcc.Cancelled {
			t.Errorf("%v, %v", status.State, err)
		}
		if err := p.settled(key("x")); err != nil {
			t.Error(err)
		}
	})
}

// TestOrdersMayGoToAnyCoordinator: two share a store, and an initiator's
// requests reach now this one, now that.
func TestOrdersMayGoToAnyCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		one := start(t, m, p, nil, runner.Config{Host: "one"})
		two := start(t, m, p, nil, runner.Config{Host: "two"})
		ctx := t.Context()
		if _, err := one.Submit(ctx, opened("x", 0)); err != nil {
			t.Fatal(err)
		}
		try(t, two, p, "x", "a")
		try(t, one, p, "x", "b")
		try(t, two, p, "x", "c")
		status, err := one.Confirm(ctx, key("x"), runner.WaitConfirmed)
		if err != nil || status.State != tcc.Confirmed || len(status.Branches) != 3 {
			t.Fatalf("confirm: %+v, %v", status, err)
		}
		if status, err := two.Confirm(ctx, key("x"), runner.WaitConfirmed); err != nil || status.State != tcc.Confirmed {
			t.Errorf("repeated elsewhere: %v, %v", status.State, err)
		}
		if err := p.settled(key("x")); err != nil {
			t.Error(err)
		}
		if len(p.faults) > 0 {
			t.Error(p.faults)
		}
	})
}

func TestInitiatorsTransactionOutlivesItsCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		dead := start(t, m, p, nil, runner.Config{Host: "one"})
		if _, err := dead.Submit(t.Context(), opened("x", 0)); err != nil {
			t.Fatal(err)
		}
		try(t, dead, p, "x", "a")
		dead.link.cut()
		heir := start(t, m, p, nil, runner.Config{Host: "one"})
		try(t, heir, p, "x", "b")
		if status, err := heir.Confirm(t.Context(), key("x"), runner.WaitConfirmed); err != nil || status.State != tcc.Confirmed {
			t.Fatalf("%v, %v", status.State, err)
		}
		if err := p.settled(key("x")); err != nil {
			t.Error(err)
		}
	})
}

func TestOperatorForcesWhatIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		p.answer = func(_ runner.Key, b tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
			if b.ID == "a" && phase == tcc.Confirm {
				return tcc.Failed, time.Hour
			}
			return tcc.Succeeded, time.Millisecond
		}
		c := start(t, m, p, nil, runner.Config{Attempts: 2})
		ctx := t.Context()
		s := submission("x", runner.WaitConfirmed)
		s.Spec.Policy = tcc.Policy{CallTimeout: 20 * time.Millisecond, Attempts: 7, FirstBackoff: time.Millisecond, MostBackoff: 2 * time.Millisecond}
		began := time.Now()
		status, err := c.Submit(ctx, s)
		if took := time.Since(began); err != nil || status.State != tcc.Parked || status.Branches[0].Attempts != 7 || took > time.Second {
			t.Fatalf("%+v after %v, %v", status, took, err)
		}
		if _, err := c.Force(ctx, key("x"), tcc.Confirm, "z", "why"); !errors.Is(err, tcc.ErrNoBranch) {
			t.Errorf("unknown branch: %v", err)
		}
		status, err = c.Force(ctx, key("x"), tcc.Confirm, "a", "booked by hand")
		if err != nil || status.State != tcc.Confirmed || !status.Branches[0].Forced || status.Branches[0].LastError != "booked by hand" {
			t.Fatalf("%+v, %v", status, err)
		}
		if told := m.ended[key("x")]; told != 1 {
			t.Errorf("%d facts told", told)
		}
	})
}
