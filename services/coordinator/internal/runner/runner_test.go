package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// coordinator is a Runner under way.
type coordinator struct {
	*runner.Runner
	link *connection
	stop func() // and wait
}

var lastID struct {
	sync.Mutex
	n int
}

func newID() string {
	lastID.Lock()
	defer lastID.Unlock()
	lastID.n++
	return fmt.Sprintf("id-%d", lastID.n)
}

// start runs a coordinator and waits until it is ready.
func start(t *testing.T, m *memory, p *participants, link *connection, config runner.Config) *coordinator {
	t.Helper()
	config.NewID = newID
	if link == nil {
		link = &connection{memory: m}
	}
	c := &coordinator{Runner: runner.New(link, p, config), link: link}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := c.Run(ctx, sync.OnceFunc(func() { close(ready) })); err == nil {
				return
			}
		}
	}()
	c.stop = sync.OnceFunc(func() { cancel(); <-done })
	<-ready
	t.Cleanup(c.stop)
	return c
}

func key(xid string) runner.Key { return runner.Key{TenantID: "main", XID: xid} }

func submission(xid string, wait runner.Wait) runner.Submission {
	return runner.Submission{Key: key(xid), Wait: wait, Spec: tcc.Spec{Mode: tcc.TCC, Branches: []tcc.Branch{
		{ID: "a", Service: "storefront", Action: "entitle"}, {ID: "b", Service: "settlement", Action: "pay"},
	}}}
}

func TestSubmitConfirmsAndIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		c := start(t, m, p, nil, runner.Config{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				status, err := c.Submit(t.Context(), submission("x", runner.WaitConfirmed))
				if err != nil || status.State != tcc.Confirmed || status.Branches[1].State != tcc.BranchConfirmed {
					t.Errorf("got %+v, %v", status, err)
				}
			})
		}
		all.Wait()
		if p.calls != 4 {
			t.Errorf("%d calls, want 2 tries and 2 confirms", p.calls)
		}
		other := submission("x", 0)
		other.Spec.Branches = other.Spec.Branches[:1]
		if _, err := c.Submit(t.Context(), other); !errors.Is(err, runner.ErrConflict) {
			t.Errorf("other content: got %v, want ErrConflict", err)
		}
		c.stop()
		if _, err := c.Submit(t.Context(), submission("y", 0)); !errors.Is(err, runner.ErrStopped) {
			t.Errorf("after the stop: got %v, want ErrStopped", err)
		}
	})
}

func TestWaitsEndWhenTheyShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		p.answer = func(_ runner.Key, _ tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
			return tcc.Succeeded, map[tcc.Phase]time.Duration{tcc.Try: time.Second, tcc.Confirm: 4 * time.Second}[phase]
		}
		c := start(t, m, p, nil, runner.Config{})
		cases := []struct {
			wait  runner.Wait
			state tcc.State
			least time.Duration
		}{
			{runner.WaitAccepted, tcc.Trying, 0},
			{runner.WaitDecided, tcc.Confirming, time.Second},
			{runner.WaitConfirmed, tcc.Confirmed, 5 * time.Second},
		}
		for _, want := range cases {
			began := time.Now()
			status, err := c.Submit(t.Context(), submission(fmt.Sprint(want.wait), want.wait))
			if took := time.Since(began); err != nil || status.State != want.state || took < want.least || took > want.least+time.Second {
				t.Errorf("wait %d: %v after %v, %v", want.wait, status.State, took, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.Submit(ctx, submission("slow", 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if status, err := c.Submit(t.Context(), submission("slow", runner.WaitConfirmed)); err != nil || status.State != tcc.Confirmed {
			t.Errorf("asked again: %v, %v", status.State, err)
		}
	})
}

func TestTryTimeoutCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		p.answer = func(_ runner.Key, b tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
			if b.ID == "b" && phase == tcc.Try {
				return tcc.Failed, time.Hour
			}
			return tcc.Succeeded, time.Millisecond
		}
		c := start(t, m, p, nil, runner.Config{})
		s := submission("x", runner.WaitConfirmed)
		s.Timeout = 7 * time.Second
		began := time.Now()
		status, err := c.Submit(t.Context(), s)
		if took := time.Since(began); err != nil || status.State != tcc.Cancelled || took < s.Timeout || took > s.Timeout+time.Second {
			t.Errorf("%v after %v, %v", status.State, took, err)
		}
		if err := p.settled(s.Key); err != nil {
			t.Error(err)
		}
	})
}

func TestParkedTransactionIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		var away sync.Mutex
		broken := true
		p.answer = func(_ runner.Key, b tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
			away.Lock()
			defer away.Unlock()
			if broken && b.ID == "a" && phase == tcc.Confirm {
				return tcc.Failed, time.Hour // longer than a call may take
			}
			return tcc.Succeeded, time.Millisecond
		}
		c := start(t, m, p, nil, runner.Config{Attempts: 3})
		status, err := c.Submit(t.Context(), submission("x", runner.WaitConfirmed))
		if err != nil || status.State != tcc.Parked || status.Branches[0].Attempts != 3 {
			t.Fatalf("got %+v, %v", status, err)
		}
		away.Lock()
		broken = false
		away.Unlock()
		// Another coordinator may do it.
		c.stop()
		c = start(t, m, p, nil, runner.Config{Attempts: 3})
		if status, err := c.Retry(t.Context(), key("x")); err != nil || status.State != tcc.Confirming {
			t.Fatalf("retry: %v, %v", status.State, err)
		}
		if status, err = c.Submit(t.Context(), submission("x", runner.WaitConfirmed)); err != nil || status.State != tcc.Confirmed {
			t.Errorf("got %v, %v", status.State, err)
		}
		if err := p.settled(key("x")); err != nil {
			t.Error(err)
		}
		if _, err := c.Retry(t.Context(), key("none")); !errors.Is(err, runner.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestFullCoordinatorRefusesWithAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p := newParticipants(m)
		p.answer = func(runner.Key, tcc.Branch, tcc.Phase) (tcc.Outcome, time.Duration) {
			return tcc.Succeeded, time.Second
		}
		c := start(t, m, p, nil, runner.Config{MaxActive: 2})
		for i := range 2 {
			if _, err := c.Submit(t.Context(), submission(strconv.Itoa(i), runner.WaitAccepted)); err != nil {
				t.Fatal(err)
			}
		}
		var busy *runner.BusyError
		if _, err := c.Submit(t.Context(), submission("2", 0)); !errors.As(err, &busy) || busy.RetryAfter <= 0 {
			t.Fatalf("got %v, want a BusyError", err)
		}
		if _, err := c.Submit(t.Context(), submission("0", runner.WaitConfirmed)); err != nil {
			t.Errorf("a known one: %v", err)
		}
		pass(time.Second)
		if _, err := c.Submit(t.Context(), submission("2", runner.WaitConfirmed)); err != nil {
			t.Errorf("after a while: %v", err)
		}
	})
}

// TestDeadCoordinatorsWorkIsTakenOver: its own restart takes it up at once,
// another coordinator after the lease.
func TestDeadCoordinatorsWorkIsTakenOver(t *testing.T) {
	for name, host := range map[string]string{"same host": "one", "another host": "two"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				p := newParticipants(m)
				p.answer = func(runner.Key, tcc.Branch, tcc.Phase) (tcc.Outcome, time.Duration) {
					return tcc.Succeeded, 100 * time.Millisecond
				}
				dead := start(t, m, p, nil, runner.Config{Host: "one"})
				for i := range 5 {
					if _, err := dead.Submit(t.Context(), submission(strconv.Itoa(i), runner.WaitAccepted)); err != nil {
						t.Fatal(err)
					}
				}
				dead.link.cut()
				began := time.Now()
				heir := start(t, m, p, nil, runner.Config{Host: host})
				for i := range 5 {
					s := submission(strconv.Itoa(i), runner.WaitConfirmed)
					if status, err := heir.Submit(t.Context(), s); err != nil || status.State != tcc.Confirmed {
						t.Errorf("got %v, %v", status.State, err)
					}
					if err := p.settled(s.Key); err != nil {
						t.Error(err)
					}
				}
				limit := 500 * time.Millisecond
				if host == "two" {
					limit = 6 * time.Second
				}
				if took := time.Since(began); took > limit {
					t.Errorf("recovery took %v", took)
				}
			})
		})
	}
}
