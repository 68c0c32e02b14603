package bucket_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/filter/bucket"
)

const start = int64(1_800_000_000_000_000_000)

func TestABurstPassesAndThenTheRate(t *testing.T) {
	table := bucket.New(bucket.Limit{Rate: 10, Burst: 3}, 0)
	for i := range 3 {
		if _, taken := table.Take(1, 1, start); !taken {
			t.Errorf("token %d of the burst is refused", i)
		}
	}
	wait, taken := table.Take(1, 1, start)
	if taken || wait != 100*time.Millisecond {
		t.Errorf("beyond the burst: %v, %v", wait, taken)
	}
	if _, taken := table.Take(2, 1, start); !taken {
		t.Error("another key is refused")
	}
	if _, taken := table.Take(1, 1, start+int64(wait)-1); taken {
		t.Error("taken before its time")
	}
	if _, taken := table.Take(1, 1, start+int64(wait)); !taken {
		t.Error("refused at its time")
	}
	for i := range 3 {
		if _, taken := table.Take(1, 1, start+int64(time.Hour)); !taken {
			t.Errorf("token %d after an hour is refused", i)
		}
	}
	if _, taken := table.Take(1, 1, start+int64(time.Hour)); taken {
		t.Error("a bucket holds more than its burst")
	}
}

// TestAgainstAPlainBucket compares with a bucket that is counted in tokens.
func TestAgainstAPlainBucket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []bucket.Limit{{Rate: 1, Burst: 1}, {Rate: 1000, Burst: 50}, {Rate: 8, Burst: 2.5}} {
		table := bucket.New(limit, 0)
		tokens, last, now := limit.Burst, start, start
		for range 20_000 {
			now += int64(random.ExpFloat64() / limit.Rate * 1e9)
			tokens = min(limit.Burst, tokens+float64(now-last)/1e9*limit.Rate)
			last = now
			if math.Abs(tokens-1) < 1e-6 {
				continue // a matter of rounding
			}
			want := tokens >= 1
			if want {
				tokens--
			}
			if _, taken := table.Take(7, 1, now); taken != want {
				t.Fatalf("%+v: taken is %t with %v tokens", limit, taken, tokens)
			}
		}
	}
}

func TestAClockThatIsSetBackDoesNotLockOut(t *testing.T) {
	table := bucket.New(bucket.Limit{Rate: 1, Burst: 5}, 0)
	table.Take(1, 1, start+int64(time.Hour))
	if wait, taken := table.Take(1, 1, start); taken || wait > 6*time.Second {
		t.Errorf("after the clock was set back by an hour: %v, %v", wait, taken)
	}
}

func TestKeysAreBounded(t *testing.T) {
	table := bucket.New(bucket.Limit{Rate: 1, Burst: 5}, 640)
	random := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		table.Take(42, 1, start)
	}
	for range 100_000 {
		table.Take(random.Uint64(), 1, start)
		if _, taken := table.Take(42, 1, start); taken {
			t.Fatal("a flood of keys emptied a bucket in use")
		}
	}
	if n := table.Len(); n > 640 {
		t.Errorf("%d buckets are kept, want at most 640", n)
	}
}

func TestNoMoreIsTakenTogether(t *testing.T) {
	table := bucket.New(bucket.Limit{Rate: 1, Burst: 1000}, 0)
	var taken atomic.Int64
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 1000 {
				if _, ok := table.Take(1, 1, start); ok {
					taken.Add(1)
				}
			}
		})
	}
	users.Wait()
	if taken.Load() != 1000 {
		t.Errorf("%d were taken, want 1000", taken.Load())
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for _, limit := range []bucket.Limit{{}, {Rate: 1}, {Rate: -1, Burst: 1}, {Rate: math.NaN(), Burst: 1}, {Rate: 1, Burst: math.Inf(1)}, {Rate: 1e9, Burst: 1}} {
		if limit.Check() == nil {
			t.Errorf("%+v is taken", limit)
		}
	}
	if err := (bucket.Limit{Rate: 100, Burst: 100}).Check(); err != nil {
		t.Error(err)
	}
}

func BenchmarkTake(b *testing.B) {
	table := bucket.New(bucket.Limit{Rate: 1e6, Burst: 1e6}, 0)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		key := rand.Uint64()
		now := start
		for p.Next() {
			now += 1000
			table.Take(key, 1, now)
		}
	})
}

// BenchmarkTakeOfNewKeys is a flood: every key is new and the table is full.
func BenchmarkTakeOfNewKeys(b *testing.B) {
	table := bucket.New(bucket.Limit{Rate: 1, Burst: 10}, 100_000)
	for range 200_000 {
		table.Take(rand.Uint64(), 1, start)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Take(rand.Uint64(), 1, start)
	}
}
