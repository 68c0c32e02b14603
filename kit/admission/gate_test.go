package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/backlot-video/backlot/kit/breaker"
)

func open(t *testing.T, cfg Config) *Gate {
	t.Helper()
	cfg.Service = "test"
	gate, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return gate
}

// full lets in as much as may be in flight.
func full(t *testing.T, gate *Gate) (passes []*Pass) {
	t.Helper()
	for range gate.Load().Window {
		pass, err := gate.Enter(t.Context(), Work{Tenant: "main"})
		if err != nil {
			t.Fatal(err)
		}
		passes = append(passes, pass)
	}
	return passes
}

func TestDecidedWorkWaitsButIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := open(t, Config{Limit: 4})
		decided := Work{Tenant: "main", Decided: true}
		var passes []*Pass
		for range 4 {
			pass, err := gate.Enter(t.Context(), decided)
			if err != nil {
				t.Fatal(err)
			}
			passes = append(passes, pass)
		}
		var entered atomic.Int64
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				pass, err := gate.Enter(t.Context(), decided)
				if err != nil {
					t.Error(err)
					return
				}
				if now := entered.Add(1); now > 4 {
					t.Errorf("%d at once", now)
				}
				time.Sleep(time.Second) // of the bubble's time
				entered.Add(-1)
				pass.Done(Succeeded)
			})
		}
		synctest.Wait()
		if load := gate.Load(); load.Waiting != 100 || load.InFlight != 4 {
			t.Errorf("got %+v", load)
		}
		for _, pass := range passes {
			pass.Done(Succeeded)
		}
		group.Wait()
		if load := gate.Load(); load.Waiting != 0 || load.InFlight != 0 {
			t.Errorf("got %+v at the end", load)
		}
	})
}

func TestWaitingEndsWithTheContextOrThePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := open(t, Config{})
		passes := full(t, gate)
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		if _, err := gate.Enter(ctx, Work{Tenant: "main"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		var refusal *Refusal
		_, err := gate.Enter(t.Context(), Work{Tenant: "main"})
		if !errors.As(err, &refusal) || refusal.Reason != Overdue || time.Since(begun) != 81*time.Millisecond {
			t.Errorf("got %v after %v, want a refusal after the patience, less the transit", err, time.Since(begun))
		}
		if load := gate.Load(); load.Waiting != 0 {
			t.Errorf("%d still wait", load.Waiting)
		}
		for _, pass := range passes {
			pass.Done(Succeeded)
		}
	})
}

func TestADeadlineThatIsSoonerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := open(t, Config{})
		full(t, gate) // 44 units of a millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		defer cancel()
		begun := time.Now()
		var refusal *Refusal
		_, err := gate.Enter(ctx, Work{Tenant: "main"})
		if !errors.As(err, &refusal) || refusal.Reason != TooLate || time.Since(begun) != 0 {
			t.Errorf("got %v after %v, want a refusal at once", err, time.Since(begun))
		}
		if refusal != nil && (refusal.Wait < 40*time.Millisecond || refusal.RetryAfter < 5*time.Millisecond) {
			t.Errorf("wait %v, retry after %v", refusal.Wait, refusal.RetryAfter)
		}
	})
}

// A call is to be done before its deadline by what its answer takes; of a short
// one not all of it goes to that.
func TestTheTransitIsTakenOffTheDeadline(t *testing.T) {
	for _, c := range []struct{ own, transit, want time.Duration }{
		{0, 0, 76 * time.Millisecond},
		{0, -1, 80 * time.Millisecond},
		{time.Minute, 0, 76 * time.Millisecond},
		{40 * time.Millisecond, 0, 36 * time.Millisecond},
		{40 * time.Millisecond, 15 * time.Millisecond, 30 * time.Millisecond},
		{4 * time.Millisecond, 0, 3 * time.Millisecond},
		{-time.Millisecond, 0, -time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if c.own != 0 {
				limited, cancel := context.WithTimeout(ctx, c.own)
				defer cancel()
				ctx = limited
			}
			j := newJob(ctx, time.Now(), Config{Transit: c.transit}.withDefaults(), Work{})
			if got := time.Until(j.deadline); got != c.want {
				t.Errorf("of %v with a transit of %v, %v are left, want %v", c.own, c.transit, got, c.want)
			}
		})
	}
}

// What is done after its deadline is late, what is done just before it is tight.
func TestLateAndTightJobsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		gate := open(t, Config{Registerer: registry})
		for _, took := range []time.Duration{75, 76, 77, 80, 81} {
			pass, err := gate.Enter(t.Context(), Work{Tenant: "main"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(took * time.Millisecond) // of the bubble's time
			pass.Done(Succeeded)
		}
		late, tight := value(t, registry, "backlot_test_admission_late_jobs_total"), value(t, registry, "backlot_test_admission_tight_jobs_total")
		if late != 1 || tight != 2 {
			t.Errorf("%v are late, %v tight, want 1 and 2", late, tight)
		}
	})
}

func TestTheLimitIsOfAShard(t *testing.T) {
	gate := open(t, Config{Limit: 20, TotalLimit: 40, FixedQueue: true, Patience: time.Minute})
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	enter := func(shard string) {
		group.Go(func() { _, _ = gate.Enter(ctx, Work{Tenant: "main", Shard: shard}) })
	}
	for range 20 {
		enter("USD")
	}
	for gate.Load().InFlight < 20 {
		<-time.After(time.Millisecond)
	}
	var refusal *Refusal
	if _, err := gate.Enter(ctx, Work{Tenant: "main", Shard: "USD"}); !errors.As(err, &refusal) || refusal.Reason != Full {
		t.Errorf("got %v, want Full", err)
	}
	enter("EUR")
	for gate.Load().Waiting < 1 {
		<-time.After(time.Millisecond)
	}
	cancel()
	group.Wait()
}

// TestRetryAfterGrowsWithWhatWasRefused: those who were refused will be back.
func TestRetryAfterGrowsWithWhatWasRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	c := newCore(Config{Service: "test"}.withDefaults())
	now := epoch
	refuse := func() time.Duration { return c.refusal(now, TooLate, 1).RetryAfter }
	first := refuse()
	for range 2000 {
		now = now.Add(time.Duration(random.IntN(int(time.Millisecond))))
		refuse()
	}
	if later := refuse(); first != minRetry || later < 500*time.Millisecond || later > 2*time.Second {
		t.Errorf("first %v, after 2000 refusals in a second, of a millisecond each, %v", first, later)
	}
	now = now.Add(time.Minute)
	if later := refuse(); later != minRetry {
		t.Errorf("a minute later it is %v", later)
	}
	gate := open(t, Config{Random: random.Float64})
	for range 1000 {
		if d := gate.jittered(time.Second); d < time.Second/2 || d >= 3*time.Second/2 {
			t.Fatalf("a second became %v", d)
		}
	}
}

func TestFailuresTripTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		registry := prometheus.NewRegistry()
		gate := open(t, Config{
			Breaker:    breaker.Policy{FailurePPM: 500_000, MinCalls: 10, Window: 5 * time.Second, Open: time.Second},
			Log:        slog.New(slog.NewTextHandler(&log, nil)),
			Registerer: registry,
		})
		do := func(outcome Outcome) error {
			pass, err := gate.Enter(t.Context(), Work{Tenant: "main"})
			if err == nil {
				pass.Done(outcome)
			}
			return err
		}
		for range 10 {
			if err := do(Failed); err != nil {
				t.Fatal(err)
			}
		}
		var refusal *Refusal
		if err := do(Succeeded); !errors.As(err, &refusal) || refusal.Reason != Broken || refusal.RetryAfter < time.Second {
			t.Errorf("got %v, want the breaker's refusal", err)
		}
		if got := value(t, registry, "backlot_test_admission_breaker_open"); got != 1 {
			t.Errorf("breaker_open is %v", got)
		}
		if pass, err := gate.Enter(t.Context(), Work{Tenant: "main", Decided: true}); err != nil {
			t.Errorf("decided work: %v", err)
		} else {
			pass.Done(Succeeded)
		}
		time.Sleep(time.Second) // of the bubble's time
		for range 2 {
			if err := do(Succeeded); err != nil {
				t.Errorf("after the open time: %v", err)
			}
		}
		if got := value(t, registry, "backlot_test_admission_breaker_open"); got != 0 {
			t.Errorf("breaker_open is %v after success", got)
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "work succeeds again") != 1 {
			t.Errorf("the log says:\n%s", text)
		}
	})
}

// value is a metric's, the sum over its labels.
func value(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestTenantsLabelsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	gate := open(t, Config{Registerer: registry, Weights: map[string]int{"gold": 4}})
	for n := range 1000 {
		pass, err := gate.Enter(t.Context(), Work{Tenant: fmt.Sprint("tenant-", n)})
		if err != nil {
			t.Fatal(err)
		}
		pass.Done(Succeeded)
	}
	for _, tenant := range []string{"gold", "main"} {
		pass, err := gate.Enter(t.Context(), Work{Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		pass.Done(Succeeded)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "backlot_test_admission_admitted_jobs_total" && len(family.GetMetric()) != 3 {
			t.Errorf("%d labels, want gold, main and other", len(family.GetMetric()))
		}
	}
	if got := value(t, registry, "backlot_test_admission_admitted_jobs_total"); got != 1002 {
		t.Errorf("%v admitted", got)
	}
	gate.Close()
	if _, err := New(Config{Service: "test", Registerer: registry}); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestManyGoroutinesComeAndGo(t *testing.T) {
	gate := open(t, Config{Limit: 32, Patience: 5 * time.Millisecond})
	var group sync.WaitGroup
	for n := range 64 {
		group.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
				pass, err := gate.Enter(ctx, Work{Tenant: fmt.Sprint(n % 5), Cost: i % 3, Decided: i%10 == 0})
				cancel()
				if err == nil {
					pass.Done(Outcome(i % 3))
				}
			}
		})
	}
	group.Wait()
	if load := gate.Load(); load.Waiting != 0 || load.InFlight != 0 || gate.core.inFlight != 0 || gate.core.taken != 0 || gate.core.weights != 0 {
		t.Errorf("at the end: %+v, %+v", load, gate.core)
	}
}

// Each tenant that waits throughout is served by its weight, and within a
// tenant the order stays.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := map[string]int{"a": rapid.IntRange(1, 5).Draw(t, "a"), "b": rapid.IntRange(1, 5).Draw(t, "b"), "c": 1}
		queue := newFair(Config{Weights: weights})
		costs := rapid.SliceOfN(rapid.IntRange(1, 20), 600, 600).Draw(t, "costs")
		next := map[string]int{}
		for i, cost := range costs {
			for tenant := range weights {
				queue.push(&job{Work: Work{Tenant: tenant, Cost: cost}, entered: epoch.Add(time.Duration(i))})
			}
		}
		served, last := map[string]int{}, map[string]time.Time{}
		for queue.lanes["a"] != nil && queue.lanes["b"] != nil && queue.lanes["c"] != nil {
			j := queue.first()
			queue.pop(j)
			served[j.Tenant] += j.Cost
			if j.entered.Before(last[j.Tenant]) {
				t.Fatalf("tenant %s: order is lost", j.Tenant)
			}
			last[j.Tenant] = j.entered
			next[j.Tenant]++
			for one, weight := range weights {
				// What deficit round robin promises: a quantum and a job apart.
				if behind := float64(served[j.Tenant])/float64(weights[j.Tenant]) - float64(served[one])/float64(weight); behind > 2*quantum+2*20 {
					t.Fatalf("tenant %s is %.0f units ahead of %s", j.Tenant, behind, one)
				}
			}
		}
	})
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{Limit: -1, TotalLimit: -2, Patience: -1, Weights: map[string]int{"a": 0}})
	const want = "service: it is empty\nlimit: it is negative\ntotal_limit: -2 is less than limit, -1\n" +
		"patience: it is negative\nweights.a: 0, must be within 1 and 1000"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
