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

const minute = int64(60_000_000)

func fixed(at int64) func() time.Time { return func() time.Time { return time.UnixMicro(at) } }

func TestWindowAgreesWithRecount(t *testing.T) {
	type event struct{ at, value int64 }
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		store := New(Config{Clock: fixed(math.MaxInt64 / 2)})
		counter := store.Counter(Spec{Of: "amount", By: "card", Window: time.Hour})
		var events []event
		now, newest := int64(1e15), int64(0)
		for i := range 400 {
			now += random.Int64N(2 * minute)
			at := now - random.Int64N(3)*random.Int64N(20*minute)
			value := random.Int64N(100) - 20
			newest = max(newest, at/minute)
			events = append(events, event{at, value})
			got, ok := counter.Add(at, Key{By: "k"}, value, uint64(value+1000))
			var want Reading
			values := map[int64]bool{}
			for _, e := range events {
				if step := e.at / minute; step > at/minute-steps && step <= at/minute {
					if want.Count == 0 || e.value > want.Max {
						want.Max = e.value
					}
					want.Count++
					want.Sum += e.value
					values[e.value] = true
				}
			}
			// A value seen again later than this window ends is not in it.
			if got.Distinct > int64(len(values)) || at/minute == newest && got.Distinct != int64(len(values)) {
				t.Fatalf("seed %d event %d: %d different values, want %d", seed, i, got.Distinct, len(values))
			}
			got.Distinct = 0
			if at/minute == newest && (!ok || got != want) {
				t.Fatalf("seed %d event %d: got %+v, want %+v", seed, i, got, want)
			}
		}
	}
}

func TestKeysAndUnitsAreApart(t *testing.T) {
	store := New(Config{Clock: fixed(0)})
	counter := store.Counter(Spec{Of: "amount", By: "card", Window: time.Hour})
	other := store.Counter(Spec{Of: "amount", By: "card", Window: 2 * time.Hour})
	counter.Add(0, Key{By: "a", Unit: "CNY"}, 5, 0)
	counter.Add(0, Key{By: "a", Unit: "USD"}, 7, 0)
	counter.Add(0, Key{By: "b", Unit: "CNY"}, 11, 0)
	same := store.Counter(Spec{Of: "amount", By: "card", Window: time.Hour})
	if r, ok := same.Read(0, Key{By: "a", Unit: "CNY"}); !ok || r.Sum != 5 || r.Count != 1 {
		t.Errorf("got %+v", r)
	}
	if r, ok := other.Read(0, Key{By: "a", Unit: "CNY"}); !ok || r.Count != 0 {
		t.Errorf("another window counted: %+v", r)
	}
	if _, ok := counter.Add(0, Key{By: "", Unit: "CNY"}, 5, 0); ok {
		t.Error("an empty key counted")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	store := New(Config{MaxBytes: 1 << 20, Clock: fixed(0)})
	counter := store.Counter(Spec{Of: "payment", By: "card", Window: time.Hour})
	for i := range 50_000 {
		counter.Add(int64(i), Key{By: fmt.Sprint("card", i)}, 1, uint64(i+1))
	}
	stats := store.Stats()
	if stats.Bytes > 1<<20 || stats.Evicted == 0 || stats.Keys+stats.Evicted != 50_000 {
		t.Errorf("got %+v", stats)
	}
	if r, _ := counter.Read(50_000, Key{By: "card49999"}); r.Count != 1 {
		t.Error("the most recent key was dropped")
	}
}

func TestPassedWindowsAreDropped(t *testing.T) {
	store := New(Config{Clock: fixed(math.MaxInt64 / 2)})
	counter := store.Counter(Spec{Of: "payment", By: "card", Window: time.Minute})
	for i := range 2000 {
		counter.Add(int64(i)*minute*2, Key{By: strconv.Itoa(i)}, 1, 0)
	}
	if stats := store.Stats(); stats.Expired < 1900 || stats.Evicted != 0 || stats.Keys > 2*shardCount {
		t.Errorf("got %+v", stats)
	}
}

func TestLateAndFutureEvents(t *testing.T) {
	now := int64(1e15)
	store := New(Config{Clock: fixed(now)})
	counter := store.Counter(Spec{Of: "payment", By: "card", Window: time.Hour})
	counter.Add(now, Key{By: "a"}, 1, 0)
	if r, _ := counter.Add(now-120*minute, Key{By: "a"}, 1, 0); r.Count != 0 {
		t.Errorf("a late event was counted: %+v", r)
	}
	if at := store.Now(now+60*minute, true); at != now {
		t.Errorf("an event an hour ahead counts at %d", at)
	}
	if at := store.Now(now+minute, true); at != now+minute {
		t.Errorf("an event within the skew counts at %d", at)
	}
	if at := store.Now(0, false); at != now {
		t.Errorf("an event without time counts at %d", at)
	}
	if stats := store.Stats(); stats.Late != 1 || stats.Future != 1 {
		t.Errorf("got %+v", stats)
	}
}

func TestSumThatDoesNotFit(t *testing.T) {
	store := New(Config{Clock: fixed(0)})
	counter := store.Counter(Spec{Of: "amount", By: "card", Window: time.Hour})
	counter.Add(0, Key{By: "a"}, math.MaxInt64-1, 0)
	if r, _ := counter.Add(0, Key{By: "a"}, 5, 0); !r.Overflow || r.Count != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestFirstTime(t *testing.T) {
	store := New(Config{})
	if !store.FirstTime("r", "", "order-1") || store.FirstTime("r", "", "order-1") || !store.FirstTime("q", "", "order-1") || !store.FirstTime("r", "b", "order-1") {
		t.Error("an event must be new once a scope")
	}
	for i := range rememberedEvents - 3 {
		store.FirstTime("r", "", strconv.Itoa(i))
	}
	if store.FirstTime("r", "", "order-1") {
		t.Error("forgotten too early")
	}
	for range 2 {
		if !store.FirstTime("r", "", "") {
			t.Error("an event without id is always new")
		}
	}
}

func TestConcurrentCountsAreComplete(t *testing.T) {
	store := New(Config{Clock: fixed(0)})
	counter := store.Counter(Spec{Of: "payment", By: "card", Window: time.Hour})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 1000 {
				counter.Add(int64(i), Key{By: []string{"a", "b"}[i%2]}, 1, 0)
			}
		})
	}
	group.Wait()
	if r, _ := counter.Read(1000, Key{By: "a"}); r.Count != 2000 {
		t.Errorf("got %+v", r)
	}
}

func TestCountingAKnownKeyDoesNotAllocate(t *testing.T) {
	store := New(Config{Clock: fixed(0)})
	counter := store.Counter(Spec{Of: "payment", By: "card", Window: time.Hour})
	counter.Add(0, Key{By: "a"}, 1, 0)
	if n := testing.AllocsPerRun(100, func() { counter.Add(1, Key{By: "a"}, 1, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
