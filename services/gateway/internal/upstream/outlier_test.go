package upstream

import (
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func answer(e *Endpoint, now *clock, times int, o Outcome) {
	for range times {
		e.Begin()
		e.Done(o, now.now())
	}
}

func TestFailuresInARowEjectForLongerEachTime(t *testing.T) {
	now := &clock{}
	c := built(t, Config{Clock: now.now}, 3, func(c *edge.Cluster) {
		c.Outlier = &edge.Outlier{Consecutive: 3, BaseEject: 10 * time.Second, MaxEject: 25 * time.Second, Interval: time.Hour}
	})
	e := c.members[0].Endpoint
	c.group.judge(now.now())
	answer(e, now, 2, Outcome{Status: 500})
	answer(e, now, 1, Outcome{Status: 200})
	answer(e, now, 2, Outcome{Status: 500})
	if e.ejected.Load() {
		t.Fatal("ejected for failures that were not in a row")
	}
	for _, rest := range []time.Duration{10, 20, 25, 25} {
		answer(e, now, 3, Outcome{Result: Broken})
		if !e.ejected.Load() {
			t.Fatal("not ejected")
		}
		now.advance(rest*time.Second - 1)
		c.group.judge(now.now())
		if !e.ejected.Load() {
			t.Fatalf("readmitted before %d s", rest)
		}
		now.advance(1)
		c.group.judge(now.now())
		if e.ejected.Load() {
			t.Fatalf("not readmitted after %d s", rest)
		}
	}
	now.advance(4 * time.Hour)
	for range 4 {
		now.advance(time.Hour)
		c.group.judge(now.now())
	}
	answer(e, now, 3, Outcome{Result: Broken})
	now.advance(10 * time.Second)
	c.group.judge(now.now())
	if e.ejected.Load() {
		t.Error("old ejections are never forgiven")
	}
}

// Envoy counts its own refusals as failures of the host, so that a full
// cluster ejects endpoints and gets fuller.
func TestOwnRefusalsNeverEject(t *testing.T) {
	now := &clock{}
	c := built(t, Config{Clock: now.now}, 3, func(c *edge.Cluster) { c.Outlier = &edge.Outlier{Consecutive: 1} })
	e := c.members[0].Endpoint
	answer(e, now, 100, Outcome{Result: Refused})
	answer(e, now, 100, Outcome{Result: Aborted})
	answer(e, now, 100, Outcome{Status: 429})
	if e.ejected.Load() || e.window.Load() != 100 {
		t.Error("what says nothing about an endpoint counts against it")
	}
}

func TestSlightlyFailingEndpointIsFoundAmongItsLike(t *testing.T) {
	now := &clock{}
	c := built(t, Config{Clock: now.now}, 6, func(c *edge.Cluster) {
		c.Outlier = &edge.Outlier{Consecutive: 1000, SuccessRate: 1.9, Interval: time.Second, MaxEjectPercent: 50}
	})
	round := func(bad int) {
		now.advance(time.Second)
		for i, m := range c.members {
			failures := 1
			if i == 4 {
				failures = bad
			}
			answer(m.Endpoint, now, failures, Outcome{Status: 500})
			answer(m.Endpoint, now, 200-failures, Outcome{Status: 200})
		}
		c.group.judge(now.now())
	}
	c.group.judge(now.now())
	round(4)
	if c.ejections() != 0 {
		t.Error("a difference of 1.5 in 100 ejects")
	}
	round(40)
	if !c.members[4].ejected.Load() || c.ejections() != 1 {
		t.Errorf("%d are ejected, want the one that fails in 20 of 100", c.ejections())
	}
}

func TestFewerMayBeEjectedAfterAChange(t *testing.T) {
	now := &clock{}
	set := New(Config{Clock: now.now})
	settings := edge.Cluster{
		Endpoints: endpoints("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"),
		Outlier:   &edge.Outlier{Consecutive: 1, MaxEjectPercent: 100},
	}
	c := one(t, set, settings)
	for i := range 4 {
		now.advance(time.Second)
		answer(c.members[i].Endpoint, now, 1, Outcome{Status: 500})
	}
	if n := c.ejections(); n != 3 {
		t.Errorf("%d are ejected, want all but one", n)
	}
	settings.Endpoints = settings.Endpoints[1:]
	settings.Outlier = &edge.Outlier{Consecutive: 1, MaxEjectPercent: 34}
	c = one(t, set, settings)
	if n := c.ejections(); n != 1 || !c.members[1].ejected.Load() {
		t.Errorf("%d are ejected, want the one that was last", n)
	}
	settings.Outlier = nil
	if c = one(t, set, settings); c.ejections() != 0 {
		t.Error("an endpoint is ejected though nothing is judged")
	}
}

func TestTheOnlyEndpointIsNeverEjected(t *testing.T) {
	now := &clock{}
	for n := range 3 {
		c := built(t, Config{Clock: now.now}, n+1, func(c *edge.Cluster) { c.Outlier = &edge.Outlier{MaxEjectPercent: 100} })
		for _, m := range c.members {
			answer(m.Endpoint, now, 50, Outcome{Status: 503})
		}
		if got := c.ejections(); got != n {
			t.Errorf("of %d endpoints that all fail %d are ejected", n+1, got)
		}
	}
}
