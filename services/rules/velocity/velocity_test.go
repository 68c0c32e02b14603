package velocity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

const start = int64(1_790_000_000) // Unix seconds

// counter is one counter of a store, for tests.
type counter struct {
	store *Store
	group *Group
}

func newCounter(s *Store, kind Kind, window time.Duration) counter {
	return counter{s, s.Declare("scope", []Spec{{"field", kind, "card", window}})[0]}
}

// run counts or reads a key at a second.
func (c counter) run(at int64, by string, add bool, sample Sample) (Reading, bool) {
	sample.OK = true
	op := Op{Group: c.group, At: at * 1e6, By: by, Add: add, Samples: []Sample{sample}, Readings: make([]Reading, 1)}
	c.store.Run(one(&op))
	return op.Readings[0], op.OK
}

func at(seconds int64) func() time.Time { return func() time.Time { return time.Unix(seconds, 0) } }

func TestKeysPartsAndUnitsAreApart(t *testing.T) {
	store := New(Config{Clock: at(start)})
	hour, day := newCounter(store, Sum, time.Hour), newCounter(store, Sum, 24*time.Hour)
	other := counter{store, store.Declare("another", []Spec{{"field", Sum, "card", time.Hour}})[0]}
	hour.run(start, "a", true, Sample{Value: 5, Unit: "CNY"})
	hour.run(start, "a", true, Sample{Value: 7, Unit: "USD"})
	hour.run(start, "b", true, Sample{Value: 11, Unit: "CNY"})
	op := Op{Group: hour.group, At: start * 1e6, By: "a", Part: "tenant", Add: true, Samples: []Sample{{OK: true, Value: 100, Unit: "CNY"}}, Readings: make([]Reading, 1)}
	store.Run(one(&op))
	for name, c := range map[string]counter{"hour": newCounter(store, Sum, time.Hour), "day": day} {
		if r, ok := c.run(start, "a", false, Sample{Unit: "CNY"}); !ok || r.Value != 5 || r.Count != 1 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	if r, _ := other.run(start, "a", false, Sample{Unit: "CNY"}); r.Count != 0 {
		t.Errorf("another scope counted: %+v", r)
	}
	if _, ok := hour.run(start, "", true, Sample{}); ok {
		t.Error("an empty key counted")
	}
	if _, ok := hour.run(start, string(make([]byte, MaxKey+1)), true, Sample{}); ok {
		t.Error("a key that is too long counted")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	store := New(Config{MaxBytes: 4 << 20, Clock: at(start)})
	c := newCounter(store, Distinct, time.Hour)
	random := rand.New(rand.NewPCG(1, 1))
	const keys = 60_000
	for i := range keys {
		for range 1 + random.IntN(4) {
			c.run(start+int64(i)/60, "card"+strconv.Itoa(i), true, Sample{Hash: random.Uint64() | 1})
		}
		c.run(start+int64(i)/60, "hot", true, Sample{Hash: uint64(i)<<40 | 1})
	}
	stats := store.Stats()
	if stats.Bytes > 4<<20 || stats.Evicted == 0 || stats.Keys+stats.Evicted <= keys || stats.Keys+stats.Evicted > keys*101/100 {
		t.Errorf("got %+v", stats)
	}
	if stats.Keys < 10_000 {
		t.Errorf("only %d keys in %d bytes", stats.Keys, stats.Bytes)
	}
	if r, _ := c.run(start+keys/60, "hot", false, Sample{}); r.Distinct == 0 {
		t.Error("a key in use was dropped")
	}
	if r, _ := c.run(start+keys/60, "card59999", false, Sample{}); r.Distinct == 0 {
		t.Error("the most recent key was dropped")
	}
}

// TestMemoryServesOtherSizesLater fills a store with small entries and then
// with large ones.
func TestMemoryServesOtherSizesLater(t *testing.T) {
	store := New(Config{MaxBytes: 8 << 20, Clock: at(start)})
	c := newCounter(store, Distinct, time.Hour)
	for i := range 100_000 {
		c.run(start, "small"+strconv.Itoa(i), true, Sample{Hash: 1})
	}
	for i := range 5000 {
		for v := range 100 {
			c.run(start, "large"+strconv.Itoa(i), true, Sample{Hash: uint64(v) << 40})
		}
	}
	large := 0
	for i := range 5000 {
		if r, _ := c.run(start, "large"+strconv.Itoa(i), false, Sample{}); r.Distinct == 99 {
			large++
		}
	}
	if stats := store.Stats(); stats.Bytes > 8<<20 || large < 3000 {
		t.Errorf("%d large keys are whole, %+v", large, stats)
	}
}

func TestPassedWindowsAreDropped(t *testing.T) {
	now := start
	store := New(Config{Clock: func() time.Time { return time.Unix(now, 0) }})
	c := newCounter(store, Events, time.Minute)
	for i := range 20_000 {
		now += 2
		c.run(now, strconv.Itoa(i), true, Sample{})
	}
	if stats := store.Stats(); stats.Expired < 15_000 || stats.Evicted != 0 || stats.Keys+stats.Expired != 20_000 {
		t.Errorf("got %+v", stats)
	}
}

func TestLateAndFutureEvents(t *testing.T) {
	store := New(Config{Clock: at(start)})
	c := newCounter(store, Events, time.Hour)
	c.run(start, "a", true, Sample{})
	if r, _ := c.run(start-7200, "a", true, Sample{}); r.Count != 0 {
		t.Errorf("a late event was counted: %+v", r)
	}
	if now := store.Now((start+3600)*1e6, true); now != start*1e6 {
		t.Errorf("an event an hour ahead counts at %d", now)
	}
	if now := store.Now((start+60)*1e6, true); now != (start+60)*1e6 {
		t.Errorf("an event within the skew counts at %d", now)
	}
	if now := store.Now(0, false); now != start*1e6 {
		t.Errorf("an event without time counts at %d", now)
	}
	if stats := store.Stats(); stats.Late != 1 || stats.Future != 1 {
		t.Errorf("got %+v", stats)
	}
	for _, odd := range []int64{-1 << 40, -1, 0, 1 << 40} {
		if r, ok := c.run(odd, "odd"+strconv.FormatInt(odd, 10), true, Sample{}); !ok || r.Count != 1 {
			t.Errorf("at %d: %+v, %v", odd, r, ok)
		}
	}
}

func TestSumThatDoesNotFit(t *testing.T) {
	store := New(Config{Clock: at(start)})
	c := newCounter(store, Sum, time.Hour)
	c.run(start, "a", true, Sample{Value: math.MaxInt64 - 1})
	for later := range int64(2) { // of one step, and of two
		if r, _ := c.run(start+later*60, "a", true, Sample{Value: 5}); !r.Overflow || r.Count != 2+later {
			t.Errorf("got %+v", r)
		}
	}
}

func TestAnEventCountsOnce(t *testing.T) {
	store := New(Config{Clock: at(start)})
	event := store.Hash("order-1")
	count := func(g *Group, part string, samples int) int64 {
		op := Op{Group: g, At: start * 1e6, By: "a", Part: part, Event: event, Add: true, Samples: make([]Sample, samples), Readings: make([]Reading, len(g.Queries))}
		for i := range op.Samples {
			op.Samples[i].OK = true
		}
		store.Run(one(&op))
		return op.Readings[0].Count
	}
	first := store.Declare("s", []Spec{{"payment", Events, "card", time.Hour}})[0]
	for range 3 {
		if n := count(first, "", 1); n != 1 {
			t.Errorf("counted %d times", n)
		}
	}
	if n := count(first, "tenant", 1); n != 1 {
		t.Errorf("of another part: %d", n)
	}
	// A later version of the ruleset counts a field that was not counted yet.
	second := store.Declare("s", []Spec{{"amount", Sum, "card", time.Hour}, {"payment", Events, "card", time.Hour}})[0]
	for range 2 {
		if n := count(second, "", 2); n != 1 {
			t.Errorf("a new field counted %d times", n)
		}
	}
	if n := count(first, "", 1); n != 1 {
		t.Errorf("in the end %d", n)
	}
	for i := range 60_000 {
		op := Op{Group: first, At: start * 1e6, By: strconv.Itoa(i), Event: store.Hash("e" + strconv.Itoa(i)), Add: true, Samples: []Sample{{OK: true}}, Readings: make([]Reading, 1)}
		store.Run(one(&op))
	}
	if n := count(first, "", 1); n != 1 {
		t.Errorf("an event was forgotten too early: %d", n)
	}
}

func TestDifferentValuesAreExactThenEstimated(t *testing.T) {
	store := New(Config{MaxBytes: 1 << 30, Clock: at(start), Secret: []byte("seed")})
	c := newCounter(store, Distinct, time.Hour)
	var worst float64
	for key := range 3 {
		by := strconv.Itoa(key)
		for n := int64(1); n <= 50_000/slower; n++ {
			r, _ := c.run(start, by, true, Sample{Hash: store.Hash(fmt.Sprint(key, n))})
			if n <= 511 && r.Distinct != n {
				t.Fatalf("%d values read as %d", n, r.Distinct)
			}
			if n > 511 {
				worst = max(worst, math.Abs(float64(r.Distinct)/float64(n)-1))
			}
		}
	}
	// 256 to 512 are kept: the standard error is 4.4 to 6.3%.
	if worst > 4*0.063 {
		t.Errorf("an estimate is off by %.1f%%", 100*worst)
	}
	t.Logf("worst error %.1f%%", 100*worst)
}

// TestEstimatesFollowASlidingWindow has many values, then few.
func TestEstimatesFollowASlidingWindow(t *testing.T) {
	now := start
	store := New(Config{MaxBytes: 1 << 30, Clock: func() time.Time { return time.Unix(now, 0) }, Secret: []byte("seed")})
	c := newCounter(store, Distinct, time.Hour)
	var r Reading
	for n := range 50_000 / slower {
		r, _ = c.run(now, "a", true, Sample{Hash: store.Hash(strconv.Itoa(n))})
	}
	if math.Abs(float64(r.Distinct)*slower/50_000-1) > 0.2 {
		t.Errorf("%d values read as %d", 50_000/slower, r.Distinct)
	}
	var errors []float64
	for range 100 { // the level that was needed wears off
		now += 4000
		for n := range 300 {
			r, _ = c.run(now, "a", true, Sample{Hash: store.Hash(fmt.Sprint(now, n))})
		}
		errors = append(errors, float64(r.Distinct)/300-1)
	}
	if last := errors[len(errors)-1]; math.Abs(last) > 0.5 {
		t.Errorf("300 values an hour are off by %.0f%%: %.2f", 100*last, errors)
	}
	mean := 0.0
	for _, e := range errors {
		mean += e / float64(len(errors))
	}
	if math.Abs(mean) > 0.15 {
		t.Errorf("estimates have a bias of %.0f%%: %.2f", 100*mean, errors)
	}
}

func TestWindowsWarm(t *testing.T) {
	now := start
	store := New(Config{Clock: func() time.Time { return time.Unix(now, 0) }, Warming: true})
	hour := newCounter(store, Events, time.Hour)
	warming := func(c counter) bool {
		r, _ := c.run(now, "a", true, Sample{})
		return r.Warming
	}
	if !warming(hour) || store.Stats().Warming != 1 {
		t.Error("a new window is warm")
	}
	now += 3600
	if warming(hour) || store.Stats().Warming != 0 {
		t.Error("a window that is full is warming")
	}
	if shorter := newCounter(store, Events, time.Minute); warming(shorter) {
		t.Error("a window that is within a full one is warming")
	}
	day := newCounter(store, Events, 24*time.Hour)
	if !warming(day) {
		t.Error("a longer window is warm")
	}
	now += 23*3600 + 60
	if warming(day) {
		t.Error("what the shorter window had kept does not help the longer one")
	}
	if sum := newCounter(store, Sum, time.Minute); !warming(sum) {
		t.Error("a new field is warm")
	}
}

func TestConcurrentCountsAreComplete(t *testing.T) {
	store := New(Config{Clock: at(start)})
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			c := newCounter(store, Sum, time.Duration(1+worker%2)*time.Hour)
			for i := range 2000 {
				c.run(start, []string{"a", "b"}[i%2], true, Sample{Value: 1, Unit: strconv.Itoa(worker)})
			}
		})
	}
	group.Wait()
	for worker := range 4 {
		if r, _ := newCounter(store, Sum, time.Hour).run(start, "a", false, Sample{Unit: strconv.Itoa(worker)}); r.Value != 1000 {
			t.Errorf("got %+v", r)
		}
	}
}

func TestTooManyUnits(t *testing.T) {
	store := New(Config{Clock: at(start)})
	c := newCounter(store, Sum, time.Hour)
	for i := range 20 {
		c.run(start, "a", true, Sample{Value: 1, Unit: strconv.Itoa(i)})
	}
	if r, _ := c.run(start, "a", false, Sample{Unit: "3"}); r.Value != 1 {
		t.Errorf("got %+v", r)
	}
	if stats := store.Stats(); stats.Crowded == 0 {
		t.Error("what was not counted is not told")
	}
}

func TestCountingAKnownKeyDoesNotAllocate(t *testing.T) {
	store := New(Config{Clock: at(start)})
	group := store.Declare("s", benchSpecs())[0]
	op := Op{Group: group, At: start * 1e6, By: "a", Add: true, Samples: make([]Sample, 3), Readings: make([]Reading, len(group.Queries))}
	for i := range op.Samples {
		op.Samples[i] = Sample{OK: true, Value: 5, Unit: "CNY", Hash: 7}
	}
	ops := one(&op)
	store.Run(ops)
	if n := testing.AllocsPerRun(100, func() { store.Run(ops) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
