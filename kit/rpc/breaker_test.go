package rpc

import (
	"testing"
	"time"
)

var breakerLimits = breakerPolicy{failurePPM: 500_000, minCalls: 4, window: 10 * time.Second, open: 2 * time.Second}

// report sends one call through b if it may be sent.
func report(b *breaker, now time.Time, result outcome) (sent bool) {
	probe, allowed := b.allow(now)
	if allowed {
		b.done(now, probe, result, breakerLimits)
	}
	return allowed
}

func TestBreakerOpensByShareWithinTheWindow(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		name    string
		results []outcome
		every   time.Duration
		open    bool
	}{
		{"too few calls", []outcome{failed, failed, failed}, 0, false},
		{"all failed", []outcome{failed, failed, failed, failed}, 0, true},
		{"half failed", []outcome{succeeded, failed, succeeded, failed}, 0, true},
		{"less than half", []outcome{succeeded, succeeded, succeeded, failed, failed}, 0, false},
		{"no failure", []outcome{succeeded, succeeded, succeeded, succeeded}, 0, false},
		{"given up by callers", []outcome{undecided, undecided, undecided, undecided, failed}, 0, false},
		{"spread over windows", []outcome{failed, failed, failed, failed, failed, failed}, 4 * time.Second, false},
		{"at the window's edge", []outcome{failed, failed, failed, failed}, 3 * time.Second, true},
	} {
		b := new(breaker)
		now := start
		for _, result := range test.results {
			report(b, now, result)
			now = now.Add(test.every)
		}
		if _, allowed := b.allow(now.Add(-test.every)); allowed == test.open {
			t.Errorf("%s: open is %v", test.name, !allowed)
		}
	}
}

func TestBreakerLetsOneCallProbe(t *testing.T) {
	b := new(breaker)
	now := time.Unix(1_700_000_000, 0)
	for range 4 {
		report(b, now, failed)
	}
	now = now.Add(breakerLimits.open)
	probe, allowed := b.allow(now)
	if !probe || !allowed {
		t.Fatal("no probe after the open time")
	}
	for range 3 {
		if report(b, now, succeeded) {
			t.Fatal("a call passed beside the probe")
		}
	}
	b.done(now, probe, undecided, breakerLimits)
	probe, allowed = b.allow(now)
	if !probe || !allowed {
		t.Fatal("no further probe after one that was given up")
	}
	if open := b.done(now, probe, succeeded, breakerLimits); open {
		t.Error("open after a good probe")
	}
	first, second := report(b, now, failed), report(b, now, failed)
	if !first || !second {
		t.Error("failures of before count after a good probe")
	}
}

func TestRetriesAreAShareOfCalls(t *testing.T) {
	var b retryBudget
	for range retryBurst / partsPerMillion {
		if !b.withdraw() {
			t.Fatal("the burst is smaller than it says")
		}
	}
	if b.withdraw() {
		t.Fatal("the burst is larger than it says")
	}
	retries := 0
	for range 1000 {
		b.deposit(DefaultBudgetPPM)
		if b.withdraw() {
			retries++
		}
	}
	if retries != 200 {
		t.Errorf("%d retries in 1000 calls", retries)
	}
	for range 1000 {
		b.deposit(DefaultBudgetPPM)
	}
	for retries = 0; b.withdraw(); {
		retries++
	}
	if retries != retryBurst/partsPerMillion {
		t.Errorf("%d retries saved up", retries)
	}
}
