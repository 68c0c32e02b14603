package breaker

import (
	"testing"
	"time"
)

var limits = Policy{FailurePPM: 500_000, MinCalls: 4, Window: 10 * time.Second, Open: 2 * time.Second}

// report sends one call through b if it may be sent.
func report(b *Breaker, now time.Time, result Outcome) (sent bool) {
	probe, allowed := b.Allow(now)
	if allowed {
		b.Done(now, probe, result, limits)
	}
	return allowed
}

func TestBreakerOpensByShareWithinTheWindow(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		name    string
		results []Outcome
		every   time.Duration
		open    bool
	}{
		{"too few calls", []Outcome{Failed, Failed, Failed}, 0, false},
		{"all failed", []Outcome{Failed, Failed, Failed, Failed}, 0, true},
		{"half failed", []Outcome{Succeeded, Failed, Succeeded, Failed}, 0, true},
		{"less than half", []Outcome{Succeeded, Succeeded, Succeeded, Failed, Failed}, 0, false},
		{"no failure", []Outcome{Succeeded, Succeeded, Succeeded, Succeeded}, 0, false},
		{"given up by callers", []Outcome{Undecided, Undecided, Undecided, Undecided, Failed}, 0, false},
		{"spread over windows", []Outcome{Failed, Failed, Failed, Failed, Failed, Failed}, 4 * time.Second, false},
		{"at the window's edge", []Outcome{Failed, Failed, Failed, Failed}, 3 * time.Second, true},
	} {
		b := new(Breaker)
		now := start
		for _, result := range test.results {
			report(b, now, result)
			now = now.Add(test.every)
		}
		if _, allowed := b.Allow(now.Add(-test.every)); allowed == test.open {
			t.Errorf("%s: open is %v", test.name, !allowed)
		}
	}
}

func TestBreakerLetsOneCallProbe(t *testing.T) {
	b := new(Breaker)
	now := time.Unix(1_700_000_000, 0)
	for range 4 {
		report(b, now, Failed)
	}
	now = now.Add(limits.Open)
	probe, allowed := b.Allow(now)
	if !probe || !allowed {
		t.Fatal("no probe after the open time")
	}
	for range 3 {
		if report(b, now, Succeeded) {
			t.Fatal("a call passed beside the probe")
		}
	}
	b.Done(now, probe, Undecided, limits)
	probe, allowed = b.Allow(now)
	if !probe || !allowed {
		t.Fatal("no further probe after one that was given up")
	}
	if open := b.Done(now, probe, Succeeded, limits); open {
		t.Error("open after a good probe")
	}
	first, second := report(b, now, Failed), report(b, now, Failed)
	if !first || !second {
		t.Error("failures of before count after a good probe")
	}
}
