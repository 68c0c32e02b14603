package upstream

import (
	"errors"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// tripped makes a cluster whose breaker has just opened for a second.
func tripped(t *testing.T, now *clock) *Cluster {
	t.Helper()
	c := built(t, Config{Clock: now.now}, 1, func(c *edge.Cluster) {
		c.Errors = &edge.ErrorBreaker{Share: 0.5, Window: 10 * time.Second, Minimum: 4, OpenFor: time.Second, Probes: 2}
	})
	for range 4 {
		exchanged(c, now, Outcome{Status: 500})
	}
	if err := c.Admit(now.now()); !errors.Is(err, ErrOpen) || RetryAfter(err) != time.Second {
		t.Fatalf("error is %v, to come back after %v", err, RetryAfter(err))
	}
	return c
}

// exchanged sends one request and says whether it was let in.
func exchanged(c *Cluster, now *clock, o Outcome) bool {
	if c.Admit(now.now()) != nil {
		return false
	}
	e := c.members[0].Endpoint
	e.Begin()
	e.Done(o, now.now())
	c.Release()
	return true
}

func TestBreakerOpensByShare(t *testing.T) {
	good, bad := Outcome{Status: 200}, Outcome{Status: 503}
	for _, test := range []struct {
		name     string
		outcomes []Outcome
		every    time.Duration
		open     bool
	}{
		{"too few", []Outcome{bad, bad, bad}, 0, false},
		{"all", []Outcome{bad, bad, bad, bad}, 0, true},
		{"half", []Outcome{good, bad, good, bad}, 0, true},
		{"fewer than half", []Outcome{good, good, good, bad, bad}, 0, false},
		{"no answers", []Outcome{{Result: Unreached}, {Result: Broken}, {Result: TimedOut}, bad}, 0, true},
		{"not the endpoint's", []Outcome{{Result: Refused}, {Result: Refused}, {Result: Aborted}, bad, bad, bad}, 0, false},
		{"client's errors", []Outcome{{Status: 404}, {Status: 429}, {Status: 404}, {Status: 400}}, 0, false},
		{"spread over windows", []Outcome{bad, bad, bad, bad, bad, bad, bad}, 4 * time.Second, false},
	} {
		now := &clock{}
		c := built(t, Config{Clock: now.now}, 1, func(c *edge.Cluster) {
			c.Errors = &edge.ErrorBreaker{Minimum: 4}
		})
		for _, o := range test.outcomes {
			exchanged(c, now, o)
			now.advance(test.every)
		}
		if open := c.breaker.state.Load() != closed; open != test.open {
			t.Errorf("%s: open is %v", test.name, open)
		}
	}
}

func TestBreakerClosesByProbesAndOpensForLongerEachTime(t *testing.T) {
	now := &clock{}
	c := tripped(t, now)
	for _, opened := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		now.advance(opened*time.Second - 1)
		if exchanged(c, now, Outcome{Status: 200}) {
			t.Fatalf("lets a request in before %d s", opened)
		}
		now.advance(1)
		if !exchanged(c, now, Outcome{Status: 500}) {
			t.Fatalf("does not probe after %d s", opened)
		}
	}
	now.advance(time.Minute)
	for n, admitted := range []bool{true, true, false} {
		if err := c.Admit(now.now()); (err == nil) != admitted {
			t.Fatalf("probe %d of two: %v", n+1, err)
		}
	}
	e := c.members[0].Endpoint
	e.Begin()
	e.Begin()
	e.Done(Outcome{Status: 200}, now.now())
	if c.breaker.state.Load() != halfOpen {
		t.Error("one of two probes closes it")
	}
	e.Done(Outcome{Status: 200}, now.now())
	if c.breaker.state.Load() != closed {
		t.Error("two good probes do not close it")
	}
	for range 2 {
		if !exchanged(c, now, Outcome{Status: 500}) {
			t.Error("failures of before count after it closed")
		}
	}
}

func TestBreakerSurvivesLostProbesAndOldAnswers(t *testing.T) {
	now := &clock{}
	c := tripped(t, now)
	now.advance(time.Second)
	for range 2 { // that never come to a try
		if err := c.Admit(now.now()); err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	e := c.members[0].Endpoint
	e.Begin()
	e.Done(Outcome{Status: 500, Took: 5 * time.Second}, now.now())
	if c.breaker.state.Load() != halfOpen {
		t.Error("a try that began before the probes is taken for one")
	}
	if exchanged(c, now, Outcome{Status: 200}) {
		t.Error("lets in more than its probes")
	}
	now.advance(time.Second)
	for range 2 {
		if !exchanged(c, now, Outcome{Status: 200}) {
			t.Error("lost probes keep it half open for good")
		}
	}
	if c.breaker.state.Load() != closed {
		t.Error("good probes do not close it")
	}
}

func TestRetriesAreBoundedByNumberAndShare(t *testing.T) {
	c := built(t, Config{}, 1, func(c *edge.Cluster) { c.MaxRetries, c.RetryBudget = 10, 0.2 })
	begun := func() (n int) {
		for c.BeginRetry() {
			n++
		}
		for range n {
			c.EndRetry()
		}
		return n
	}
	for _, test := range []struct{ inFlight, want int }{{1, minRetries}, {30, 6}, {100, 10}} {
		for c.group.requests.Load() < int64(test.inFlight) {
			if err := c.Admit(time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := begun(); got != test.want {
			t.Errorf("with %d requests in flight %d retries may begin, want %d", test.inFlight, got, test.want)
		}
	}
}

func TestTriesAfterNobodyWasReachedAreBoundedByNumberAlone(t *testing.T) {
	c := built(t, Config{}, 2, func(c *edge.Cluster) { c.MaxRetries, c.RetryBudget = 5, 0.2 })
	for n := range 5 {
		if !c.BeginElsewhere() {
			t.Errorf("try %d is refused", n)
		}
	}
	if c.BeginElsewhere() || c.BeginRetry() {
		t.Error("more than MaxRetries are on their way")
	}
	for range 5 {
		c.EndRetry()
	}
}

func TestRetryAfterFollowsHowLongAnswersTake(t *testing.T) {
	c := built(t, Config{}, 1, func(c *edge.Cluster) { c.MaxRequests = 1 })
	e := c.members[0].Endpoint
	for _, test := range []struct{ took, want time.Duration }{
		{time.Millisecond, time.Second}, {3500 * time.Millisecond, 4 * time.Second}, {time.Hour, time.Minute},
	} {
		c.group.tookNS.Store(0)
		e.Begin()
		e.Done(Outcome{Status: 200, Took: test.took}, time.Time{})
		_ = c.Admit(time.Time{})
		err := c.Admit(time.Time{})
		if !errors.Is(err, ErrFull) || RetryAfter(err) != test.want {
			t.Errorf("answers take %v: %v, come back after %v", test.took, err, RetryAfter(err))
		}
	}
}

// TestAnswersOutOfOrderEraseNothing: who reports has looked at the clock some
// time before.
func TestAnswersOutOfOrderEraseNothing(t *testing.T) {
	now := &clock{}
	c := built(t, Config{Clock: now.now}, 1, func(c *edge.Cluster) {
		c.Errors = &edge.ErrorBreaker{Minimum: 4, Window: 10 * time.Second}
	})
	for range 3 {
		exchanged(c, now, Outcome{Status: 500})
	}
	now.advance(-10 * time.Second)
	exchanged(c, now, Outcome{Status: 200})
	now.advance(10 * time.Second)
	exchanged(c, now, Outcome{Status: 500})
	if c.breaker.state.Load() != opened {
		t.Error("an old answer erases the counts of newer ones")
	}
}
