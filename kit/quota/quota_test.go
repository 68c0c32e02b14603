package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestLedgerKeepsFewBucketsAndForgetsTheFullestFirst(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := NewLedger(LedgerConfig{Buckets: 8})
	lease := func(key string, want int64) Slice {
		return l.Lease("r", []Ask{{Limit: "l", Rate: 1, Burst: 100, Key: key, Want: want}}, now).Slices[0]
	}
	for i := range int64(8) {
		lease(fmt.Sprint(i), 10*(i+1))
	}
	lease("new", 1)
	if c := l.Counts(); c.Buckets != 8 || c.Dropped != 1 {
		t.Errorf("%d buckets, %d dropped", c.Buckets, c.Dropped)
	}
	if got := lease("7", 0); got.Free != 20 {
		t.Errorf("the emptiest has %v tokens, want 20 as before", got.Free)
	}
	now = now.Add(time.Hour)
	lease("another", 1)
	if c := l.Counts(); c.Buckets != 1 || c.Dropped != 1 || c.Replicas != 1 {
		t.Errorf("%+v after an hour, want only the new one", c)
	}
}

func TestAnotherSizeTakesItsPlace(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	parts := 1
	l := NewLedger(LedgerConfig{Parts: func() int { return parts }})
	lease := func(rate, burst float64, want int64) Slice {
		return l.Lease("r", []Ask{{Limit: "l", Rate: rate, Burst: burst, Want: want, Demand: rate}}, now).Slices[0]
	}
	if got := lease(10, 100, 30); got.Tokens != 30 || got.Free != 70 {
		t.Errorf("%+v", got)
	}
	if got := lease(10, 50, 60); got.Tokens != 50 || got.Free != 0 {
		t.Errorf("%+v of a smaller bucket", got)
	}
	now = now.Add(3 * time.Second)
	if got := lease(100, 200, 0); got.Free != 30 {
		t.Errorf("%+v: what came meanwhile came at the old rate", got)
	}
	parts = 4
	now = now.Add(time.Hour)
	if got := lease(100, 200, 1000); got.Tokens != 50 {
		t.Errorf("%+v of a quarter of 200", got)
	}
}

func TestOthersAreThoughtOfInWhatIsFree(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := NewLedger(LedgerConfig{})
	lease := func(replica string, want int64, demand float64) Slice {
		return l.Lease(replica, []Ask{{Limit: "l", Rate: 30, Burst: 60, Want: want, Demand: demand}}, now).Slices[0]
	}
	lease("a", 0, 1)
	lease("b", 0, 1)
	if got := lease("c", 0, 1); got.Free != 20 || got.Growth != 30 {
		t.Errorf("%+v, want a third of 60", got)
	}
	lease("a", 59, 100)
	if got := lease("b", 0, 100); got.Free > 2 || got.Growth < 14 || got.Growth > 15 {
		t.Errorf("%+v of a bucket for which two contend, beside one that wants 1 a second", got)
	}
	if got := lease("c", 0, 1); got.Growth != 1 {
		t.Errorf("%+v, want what was asked for, which is less than an equal part", got)
	}
	if got := lease("d", 0, 0); got.Growth != 0.3 {
		t.Errorf("%+v for who wants nothing yet", got)
	}
}

func TestClientAsksBehindItsCallersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := NewLedger(LedgerConfig{})
		var mu sync.Mutex
		down, calls := false, 0
		registry := prometheus.NewRegistry()
		c := NewClient(ClientConfig{
			Registerer: registry, Service: "test",
			Ask: func(ctx context.Context, asks []Ask) (Answer, error) {
				time.Sleep(2 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				calls++
				if down {
					return Answer{}, errors.New("down")
				}
				return ledger.Lease("r", asks, time.Now()), ctx.Err()
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.Run(ctx) })
		limit := c.Limit("l", 1000, 1000)
		if c.Limit("l", 1000, 1000) != limit {
			t.Error("the same name is another limit")
		}
		kinds := map[Kind]int{}
		take := func(n int) {
			for i := range n {
				kinds[limit.Take(fmt.Append(nil, i%4), time.Now()).Kind]++
				time.Sleep(time.Millisecond)
			}
		}
		take(2000)
		if kinds[Granted] != 1996-kinds[Asked]+4 || kinds[Asked] > 80 {
			t.Errorf("answers are %v", kinds)
		}
		if calls > 200 {
			t.Errorf("%d calls in 2 s", calls)
		}
		mu.Lock()
		down = true
		mu.Unlock()
		take(3000)
		if kinds[Away] < 500 {
			t.Errorf("answers are %v while the ledger is down", kinds)
		}
		mu.Lock()
		down = false
		mu.Unlock()
		time.Sleep(2 * time.Second)
		take(10)
		time.Sleep(time.Second)
		clear(kinds)
		take(100)
		if kinds[Granted] != 100 {
			t.Errorf("answers are %v after it came back", kinds)
		}
		if families, err := registry.Gather(); err != nil || len(families) != 5 {
			t.Errorf("%d families of metrics, %v", len(families), err)
		}
		stop()
		running.Wait()
	})
}

func TestManyTakeAtOnce(t *testing.T) {
	ledger := NewLedger(LedgerConfig{})
	c := NewClient(ClientConfig{
		Every: time.Millisecond, Keys: 16,
		Ask: func(_ context.Context, asks []Ask) (Answer, error) { return ledger.Lease("r", asks, time.Now()), nil },
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			c.sweep(time.Now().Add(forgetAfter))
		}
	})
	var takers sync.WaitGroup
	for range 8 {
		takers.Go(func() {
			for i := range 5000 {
				c.Limit(fmt.Sprint(i%5), 1e6, 1e6).Take(fmt.Append(nil, i%100), time.Now())
			}
		})
	}
	takers.Wait()
	stop()
	running.Wait()
	if n := c.keys(); n > 5*16 {
		t.Errorf("%d keys are kept", n)
	}
	if c.counts.crowded.Load() == 0 {
		t.Error("no key found it crowded")
	}
}

func taking(b testing.TB) (*Client, *Limit) {
	b.Helper()
	ledger := NewLedger(LedgerConfig{})
	c := NewClient(ClientConfig{
		Ask: func(_ context.Context, asks []Ask) (Answer, error) { return ledger.Lease("r", asks, time.Now()), nil },
	})
	return c, c.Limit("l", 1e9, 1e9)
}

func TestTakingDoesNotAllocate(t *testing.T) {
	c, limit := taking(t)
	key, now := []byte("somebody"), time.Now()
	limit.Take(key, now)
	if err := c.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { limit.Take(key, now) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	c, limit := taking(b)
	key, now := []byte("somebody"), time.Now()
	limit.Take(key, now)
	if err := c.Exchange(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		limit.Take(key, now)
	}
}

// BenchmarkLease is what a call for 500 keys costs the ledger.
func BenchmarkLease(b *testing.B) {
	ledger := NewLedger(LedgerConfig{})
	asks := make([]Ask, 500)
	for i := range asks {
		asks[i] = Ask{Limit: "l", Rate: 100, Burst: 100, Key: fmt.Sprint(i), Want: 10, Demand: 10}
	}
	now := time.Now()
	names := []string{"a", "b", "c", "d"}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		now = now.Add(10 * time.Millisecond)
		ledger.Lease(names[n%len(names)], asks, now)
	}
}
