package velocity

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/backlot-video/backlot/services/rules/velocity/memory"
)

// benchSpecs are the windows of TARGETS: three of count and sum, one of them
// with different values too.
func benchSpecs() []Spec {
	var specs []Spec
	for _, w := range []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		specs = append(specs, Spec{"payment", Events, "card", w}, Spec{"amount", Sum, "card", w})
	}
	return append(specs, Spec{"ip", Distinct, "card", 24 * time.Hour})
}

func BenchmarkUpdateAndRead(b *testing.B) {
	for _, keys := range []int{1_000, 1_000_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			now := int64(1_790_000_000)
			store := New(Config{MaxBytes: 8 << 30, Allocate: memory.Allocate, Clock: func() time.Time { return time.Unix(now, 0) }})
			op := filled(store, keys, 6, &now)
			random := rand.New(rand.NewPCG(1, 1))
			var name [16]byte
			b.ReportAllocs()
			b.ResetTimer()
			start := cpuTime()
			for n := range b.N {
				if n%keys == keys-1 {
					now += 600
				}
				op.At = now * 1e6
				text := strconv.AppendInt(name[:0], random.Int64N(int64(keys)), 10)
				op.By = unsafe.String(&text[0], len(text))
				op.Samples[1].Value = random.Int64N(100_000)
				op.Samples[2].Hash = store.Hash(op.By) + uint64(random.Int64N(8))<<40
				store.Run(one(&op))
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
			stats := store.Stats()
			b.ReportMetric(float64(stats.Bytes)/float64(stats.Keys), "B/key")
		})
	}
}

// cpuTime is what the process has used, which a busy machine does not change
// much.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// filled counts some events of each key, spread over a week.
func filled(store *Store, keys, events int, now *int64) Op {
	group := store.Declare("bench", benchSpecs())[0]
	op := Op{Group: group, Add: true, Samples: make([]Sample, 3), Readings: make([]Reading, len(group.Queries))}
	op.Samples[0].OK = true
	random := rand.New(rand.NewPCG(2, 2))
	for range events {
		for k := range keys {
			op.At, op.By = (*now+int64(k)*100_000/int64(keys))*1e6, strconv.Itoa(k)
			op.Samples[1] = Sample{OK: true, Value: random.Int64N(100_000), Unit: "CNY"}
			op.Samples[2] = Sample{OK: true, Hash: store.Hash(strconv.Itoa(int(random.Int64N(1 << 40))))}
			store.Run(one(&op))
		}
		*now += 100_000
	}
	return op
}

// TestBytesPerKey fills a store and measures it. VELOCITY_KEYS and
// VELOCITY_EVENTS change how far.
func TestBytesPerKey(t *testing.T) {
	keys, events := 200_000/slower, 6
	if n, err := strconv.Atoi(os.Getenv("VELOCITY_KEYS")); err == nil {
		keys = n
	}
	if n, err := strconv.Atoi(os.Getenv("VELOCITY_EVENTS")); err == nil {
		events = n
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before := heap()
	now := int64(1_790_000_000)
	began := cpuTime()
	store := New(Config{MaxBytes: int64(keys) * 2000, Clock: func() time.Time { return time.Unix(now, 0) }})
	filled(store, keys, events, &now)
	took := cpuTime() - began
	perKey := float64(heap()-before) / float64(keys)
	stats := store.Stats()
	t.Logf("%d keys with %d events each: %.0f bytes a key by the runtime, %.0f by the store; %v of CPU an event", keys, events, perKey, float64(stats.Bytes)/float64(stats.Keys), took/time.Duration(keys*events))
	if stats.Keys != int64(keys) || stats.Evicted != 0 {
		t.Fatalf("got %+v", stats)
	}
	if perKey > 400 && slower == 1 {
		t.Error("more than 400 bytes a key")
	}
	runtime.KeepAlive(store)
}
