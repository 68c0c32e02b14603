package admission

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seed is BACKLOT_SEED, or 1: what is measured here is a share of chance.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(1)
	if text := os.Getenv("BACKLOT_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("BACKLOT_SEED: %v", err)
		}
	}
	t.Logf("BACKLOT_SEED=%d", n)
	return n
}

// warm is the first part of a run, which does not count.
const warm = time.Second

// overload is a run at so many times the capacity. goodput is the jobs done in
// time by what could be done.
func overload(t *testing.T, seed uint64, e engine, cfg Config, capacity, times float64) (sum tally, goodput float64) {
	t.Helper()
	return overloadByCalls(t, seed, e, cfg, 1, capacity, times)
}

// overloadByCalls is overload by calls of so many units each; goodput and
// capacity are in units.
func overloadByCalls(t *testing.T, seed uint64, e engine, cfg Config, each int, capacity, times float64) (sum tally, goodput float64) {
	t.Helper()
	s := newSimulation(t, seed, e, cfg)
	s.load(Work{Tenant: "main", Shard: "USD", Cost: each}, times*capacity/float64(each), 0, e.lasts, 0)
	s.run(nil)
	if s.most > s.cfg.Limit {
		t.Errorf("%d jobs at once, the limit is %d", s.most, s.cfg.Limit)
	}
	tenant := "main"
	if cfg.FixedQueue {
		tenant = "" // it knows none
	}
	sum = *s.total[tenant]
	return sum, float64(each*sum.inTime) / (e.lasts - warm).Seconds() / capacity
}

var loads = []float64{1.1, 1.5, 3}

// What is refused is refused by offer, before anything else happens.
func TestOverloadIsRefusedAtTheDoorAndTheRestIsInTime(t *testing.T) {
	start := seed(t)
	for name, e := range engines {
		capacity := e.capacity(rand.New(rand.NewPCG(start, 2)))
		for _, times := range loads {
			sum, goodput := overload(t, start, e, Config{}, capacity, times)
			t.Logf("%s, %.0f a second, at %gx: %.2f%% late, goodput %.3f, %.0f%% refused",
				name, capacity, times, 100*sum.late(), goodput, 100*float64(sum.refused)/float64(sum.offered))
			if sum.late() >= 0.03 || goodput < 0.95 {
				t.Errorf("%s at %gx: %.2f%% of the accepted were late, goodput is %.3f", name, times, 100*sum.late(), goodput)
			}
		}
	}
}

// A call of many units leaves less to decide by.
func TestOverloadByCallsOfManyUnits(t *testing.T) {
	start, each := seed(t), 64
	for name, e := range engines {
		capacity := e.capacity(rand.New(rand.NewPCG(start, 2)))
		if patience := (Config{}).withDefaults().Patience; float64(each) > capacity*patience.Seconds()/4 {
			continue // few of them can be done in time at all
		}
		for _, times := range loads {
			sum, goodput := overloadByCalls(t, start, e, Config{}, each, capacity, times)
			t.Logf("%s, %.0f a second, at %gx: %.2f%% late, goodput %.3f", name, capacity, times, 100*sum.late(), goodput)
			if sum.late() >= 0.03 || goodput < 0.9 {
				t.Errorf("%s at %gx: %.2f%% of the accepted were late, goodput is %.3f", name, times, 100*sum.late(), goodput)
			}
		}
	}
}

// Where a batch takes long with little in it, time over work says that nothing
// but one call at a time fits: then goodput was 0.41 to 0.52. Callers in a closed
// loop come back together, just before a batch begins; what comes by chance
// waits for half of the one before, so it cannot be 1 either.
func TestALongBatchIsWellFilled(t *testing.T) {
	start, each := seed(t), 64
	e := engine{fixed: 22 * time.Millisecond, each: 50 * time.Microsecond, limit: 1024, lasts: 20 * time.Second}
	capacity := e.capacity(rand.New(rand.NewPCG(start, 2)))
	for _, times := range loads {
		sum, goodput := overloadByCalls(t, start, e, Config{}, each, capacity, times)
		t.Logf("%.0f a second, at %gx: %.2f%% late, goodput %.3f", capacity, times, 100*sum.late(), goodput)
		if sum.late() >= 0.03 || goodput < 0.65 {
			t.Errorf("at %gx: %.2f%% of the accepted were late, goodput is %.3f", times, 100*sum.late(), goodput)
		}
	}
}

// A batch now and then takes as long as the patience, as where a store packs
// what it has. Who came just before it is late; but when it is over, all is as
// before it. By means over time it was not: for a tenth of a second after each,
// hardly anything was let in, and goodput was 0.91 to 0.96 at 1.1 times the
// capacity.
func TestABatchThatStallsIsForgotten(t *testing.T) {
	start, each := seed(t), 64
	e := engine{fixed: time.Millisecond, each: 25 * time.Microsecond, limit: 1024, stalls: 0.0025, stall: 85 * time.Millisecond, lasts: 15 * time.Second}
	capacity, _ := e.closed(rand.New(rand.NewPCG(start, 2)), 8*each, 500_000)
	for _, times := range loads {
		sum, goodput := overloadByCalls(t, start, e, Config{}, each, capacity, times)
		t.Logf("%.0f a second, at %gx: %.2f%% late, goodput %.3f, %.1f%% refused", capacity, times, 100*sum.late(), goodput, 100*float64(sum.refused)/float64(sum.offered))
		if sum.late() >= 0.035 || goodput < 0.95 {
			t.Errorf("at %gx: %.2f%% of the accepted were late, goodput is %.3f", times, 100*sum.late(), goodput)
		}
	}
}

// A call's deadline travels as what is left of it, and its answer has a way to
// go: neither is seen here. Without an allowance for it 2% to 4% are late.
func TestTheWaysOfACallAreAllowedFor(t *testing.T) {
	start, each := seed(t), 64
	e := engines["sqlite"]
	e.way, e.lasts = 1500*time.Microsecond, 15*time.Second
	capacity := e.capacity(rand.New(rand.NewPCG(start, 2)))
	for _, times := range loads {
		sum, goodput := overloadByCalls(t, start, e, Config{}, each, capacity, times)
		control, _ := overloadByCalls(t, start, e, Config{Transit: -1}, each, capacity, times)
		t.Logf("%.0f a second, at %gx: %.2f%% late, goodput %.3f; without allowance %.2f%% late", capacity, times, 100*sum.late(), goodput, 100*control.late())
		if sum.late() >= 0.018 || goodput < 0.95 {
			t.Errorf("at %gx: %.2f%% of the accepted were late, goodput is %.3f", times, 100*sum.late(), goodput)
		}
		if control.late() < 1.5*sum.late() {
			t.Errorf("at %gx: without an allowance only %.2f%% were late", times, 100*control.late())
		}
	}
}

// The control: a plain queue of 1024, which must not pass the same check.
func TestFixedQueueAcceptsWhatItCannotDoInTime(t *testing.T) {
	start := seed(t)
	for _, name := range []string{"postgres", "slow disk", "one by one"} {
		e := engines[name]
		capacity := e.capacity(rand.New(rand.NewPCG(start, 2)))
		for _, times := range loads {
			sum, goodput := overload(t, start, e, Config{FixedQueue: true}, capacity, times)
			t.Logf("%s at %gx: %.0f%% late, goodput %.3f", name, times, 100*sum.late(), goodput)
			if times >= 1.5 && sum.late() < 0.03 && goodput >= 0.95 {
				t.Errorf("%s at %gx passes: %.2f%% late, goodput %.3f", name, times, 100*sum.late(), goodput)
			}
		}
	}
}

func TestAFloodDoesNotStarveOtherTenants(t *testing.T) {
	e := engines["slow disk"]
	const capacity = 2_000.0
	e.lasts = 6 * time.Second
	for _, test := range []struct {
		name    string
		weights map[string]int
		flood   float64 // times capacity
		quiet   float64 // share of capacity that another tenant asks for
		least   float64 // share of capacity that it must get
	}{
		{"modest tenant beside a flood", nil, 3, 0.2, 0.185},
		{"two floods", nil, 3, 3, 0.45},
		{"two floods, by weight", map[string]int{"quiet": 3}, 3, 3, 0.68},
	} {
		s := newSimulation(t, seed(t), e, Config{Weights: test.weights})
		s.load(Work{Tenant: "flood", Shard: "flood/USD"}, test.flood*capacity, 0, e.lasts, 0)
		s.load(Work{Tenant: "quiet", Shard: "quiet/USD"}, test.quiet*capacity, 0, e.lasts, 0)
		s.run(nil)
		quiet := *s.total["quiet"]
		got := float64(quiet.inTime) / (e.lasts - warm).Seconds() / capacity
		flood := float64(s.total["flood"].inTime) / (e.lasts - warm).Seconds() / capacity
		t.Logf("%s: %.3f of capacity, %.2f%% late, %d refused; the flood %.3f", test.name, got, 100*quiet.late(), quiet.refused, flood)
		if got < test.least || quiet.late() >= 0.03 || got+flood < 0.95 {
			t.Errorf("%s: the tenant got %.3f of capacity, %.2f%% of it late", test.name, got, 100*quiet.late())
		}
	}
}

// Each job that is done in time has a Confirm, which comes 20 ms later and is
// never refused (arrive checks that).
func TestDecidedWorkGoesFirst(t *testing.T) {
	e := engines["postgres"]
	const capacity = 12_000.0
	for _, times := range loads {
		s := newSimulation(t, seed(t), e, Config{})
		s.load(Work{Tenant: "main", Shard: "USD"}, times*capacity/2, 0, e.lasts, 20*time.Millisecond)
		slowest := time.Duration(0)
		s.ended = func(j *job) {
			if j.Decided && !j.entered.Before(s.counts) {
				slowest = max(slowest, s.now.Sub(j.entered))
			}
		}
		s.run(nil)
		got := *s.total["main"]
		goodput := 2 * float64(got.inTime) / (e.lasts - warm).Seconds() / capacity
		t.Logf("at %gx: goodput %.3f, %.2f%% late, slowest decided job %v", times, goodput, 100*got.late(), slowest)
		if got.late() >= 0.03 || goodput < 0.93 || slowest > 120*time.Millisecond || got.decided == 0 {
			t.Errorf("at %gx: goodput %.3f, %.2f%% late, slowest decided job %v of %d", times, goodput, 100*got.late(), slowest, got.decided)
		}
	}
}

func TestEstimatesFollowAStoreThatGetsSlower(t *testing.T) {
	quick, slow := engines["sqlite"], engines["slow disk"]
	const perSecond = 10_000 // a third of what the quick one does, five times the slow one
	s := newSimulation(t, seed(t), quick, Config{})
	s.load(Work{Tenant: "main", Shard: "USD"}, perSecond, 0, 9*time.Second, 0)
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	phases := map[string]*tally{"quick": {}, "slow": {}, "slow for a second": {}, "quick again": {}}
	phase := func(entered time.Time) *tally {
		switch {
		case entered.Before(at(3 * time.Second)):
			return phases["quick"]
		case entered.Before(at(4 * time.Second)):
			return phases["slow"]
		case entered.Before(at(6 * time.Second)):
			return phases["slow for a second"]
		case entered.After(at(7 * time.Second)):
			return phases["quick again"]
		}
		return &tally{}
	}
	s.offered = func(j *job, refusal *Refusal) {
		p := phase(j.entered)
		p.offered++
		if refusal != nil {
			p.refused++
		} else {
			p.accepted++
		}
	}
	s.ended = func(j *job) {
		if s.now.Sub(j.entered) <= s.cfg.Patience {
			phase(j.entered).inTime++
		}
	}
	s.run(func() {
		s.engine = quick
		if s.now.After(at(3*time.Second)) && s.now.Before(at(6*time.Second)) {
			s.engine = slow
		}
	})
	for name, p := range phases {
		t.Logf("%s: %d offered, %d refused, %.2f%% late", name, p.offered, p.refused, 100*p.late())
	}
	if p := phases["quick"]; p.refused > p.offered/100 || p.late() >= 0.03 {
		t.Errorf("with a quick store: %+v", *p)
	}
	if p := phases["slow for a second"]; p.late() >= 0.06 || p.inTime < 3600 {
		t.Errorf("a second after it got slower: %+v", *p)
	}
	if p := phases["quick again"]; p.refused > p.offered/100 || p.late() >= 0.03 {
		t.Errorf("a second after it got quick again: %+v", *p)
	}
}

func TestABurstIsTakenAsFarAsItCanBeDone(t *testing.T) {
	e := engines["postgres"]
	s := newSimulation(t, seed(t), e, Config{})
	s.load(Work{Tenant: "main", Shard: "USD"}, 4000, 0, 4*time.Second, 0)
	s.load(Work{Tenant: "burst", Shard: "USD"}, 2_000_000, 2*time.Second, 2*time.Second+time.Millisecond, 0) // 2000 at once
	s.run(nil)
	burst, steady := *s.total["burst"], *s.total["main"]
	t.Logf("burst: %+v, steady: %+v", burst, steady)
	if burst.inTime < 200 || burst.late() > 0.1 {
		t.Errorf("of the burst: %+v", burst)
	}
	if steady.late() >= 0.03 || steady.refused > steady.offered/50 {
		t.Errorf("of the others: %+v", steady)
	}
}

// What took too long is tried again where nothing else is being done: else
// nobody would ever see that it is quick again.
func TestASlowStoreIsTriedAgain(t *testing.T) {
	c := newCore(Config{Service: "test"}.withDefaults())
	now := epoch
	for try := range 50 {
		j := newJob(t.Context(), now, c.cfg, Work{Tenant: "main", Cost: 64})
		if refusal := c.offer(now, j); refusal != nil {
			t.Fatalf("try %d: %v", try, refusal)
		}
		if c.next(now) != j || j.refusal != nil {
			t.Fatalf("try %d: it does not start: %v", try, j.refusal)
		}
		now = now.Add(120 * time.Millisecond)
		c.finish(now, j, Succeeded)
	}
}

// While nothing ends nobody knows how long it will take.
func TestNothingNewIsLetInWhileAllStandsStill(t *testing.T) {
	c := newCore(Config{Service: "test"}.withDefaults())
	now := epoch
	enter := func() (*job, *Refusal) {
		j := newJob(t.Context(), now, c.cfg, Work{Tenant: "main"})
		refusal := c.offer(now, j)
		c.next(now)
		return j, refusal
	}
	var stuck []*job
	for range few {
		j, refusal := enter()
		if refusal != nil {
			t.Fatal(refusal)
		}
		stuck = append(stuck, j)
	}
	now = now.Add(time.Second)
	if _, refusal := enter(); refusal == nil || refusal.Reason != TooLate || refusal.Wait < time.Second {
		t.Errorf("got %+v while one stands still for a second", refusal)
	}
	for _, j := range stuck {
		c.finish(now, j, Succeeded)
	}
	if _, refusal := enter(); refusal != nil {
		t.Errorf("got %v with nothing in flight", refusal)
	}
}
