package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// mortal is a store that a dead coordinator cannot reach any more.
type mortal struct {
	*store.Store
	dead atomic.Bool
}

var errDead = errors.New("dead")

func (m *mortal) Append(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Append(ctx, owner, t, log)
}

func (m *mortal) Renew(ctx context.Context, lease runner.Lease, now time.Time) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Renew(ctx, lease, now)
}

// counter succeeds and counts the calls of each branch and phase.
type counter struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counter) Call(_ context.Context, key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[fmt.Sprint(key.XID, branch.ID, phase)]++
	return tcc.Succeeded, ""
}

// stuck answers nothing while its coordinator lives.
type stuck struct{}

func (stuck) Call(ctx context.Context, _ runner.Key, _ tcc.Branch, _ tcc.Phase) (tcc.Outcome, string) {
	<-ctx.Done()
	return tcc.Failed, "stuck"
}

// run runs a coordinator on a host of its own until the test ends. A busy machine
// may stall it: the lease is longer than that, and short where a death is waited for.
func run(t *testing.T, s runner.Store, p runner.Participants, lease time.Duration) *runner.Runner {
	t.Helper()
	r := runner.New(s, p, runner.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Lease: lease, DrainTimeout: time.Millisecond, NewID: uuid.NewString})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.Run(ctx, sync.OnceFunc(func() { close(ready) })) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestSeveralCoordinatorsShareOneDatabase: each drives its own, and what one
// leaves at its death the other ends, within seconds and once.
func TestSeveralCoordinatorsShareOneDatabase(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		calls := &counter{calls: map[string]int{}}
		victim := &mortal{Store: s}
		dying, heir := run(t, victim, stuck{}, 3*time.Second), run(t, s, calls, 3*time.Second)
		const each = 5
		for i := range each {
			x := transaction(fmt.Sprint("victim's ", i))
			if _, err := dying.Submit(t.Context(), runner.Submission{Key: x.Key, Spec: x.Spec, Wait: runner.WaitAccepted}); err != nil {
				t.Fatal(err)
			}
		}
		submit := func(name string) {
			x := transaction(name)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			status, err := heir.Submit(ctx, runner.Submission{Key: x.Key, Spec: x.Spec, Wait: runner.WaitConfirmed})
			if err != nil || status.State != tcc.Confirmed {
				t.Errorf("%s: %v, %v", name, status.State, err)
			}
		}
		for i := range each {
			submit(fmt.Sprint("heir's ", i))
		}
		if n := len(told()); n != each {
			t.Errorf("%d have ended before the death, want %d", n, each)
		}
		victim.dead.Store(true)
		began := time.Now()
		for i := range each {
			submit(fmt.Sprint("victim's ", i)) // waits for the take-over
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the take-over took %v", took)
		}
		if n := len(told()); n != 2*each {
			t.Errorf("told of %d ends, want %d", n, 2*each)
		}
		for call, n := range calls.calls {
			if n != 1 {
				t.Errorf("%s was called %d times", call, n)
			}
		}
	})
}
