package rules

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/backlot-video/backlot/bench/internal/measure"
	counters "github.com/backlot-video/backlot/services/rules/velocity"
	"github.com/backlot-video/backlot/services/rules/velocity/memory"
)

const (
	velocityStart = int64(1_790_000_000) // Unix seconds
	velocityKeys  = 100_000
	velocityOps   = 20_000 // of one run
	velocityFill  = 4      // events of each key before it is measured
)

// velocityWindows are the lengths in seconds; each counts and sums.
var velocityWindows = [3]int64{3600, 24 * 3600, 7 * 24 * 3600}

// totals are what is read after an event: count and sum of each window.
type totals [2 * len(velocityWindows)]int64

// counting is an implementation of sliding windows in 60 steps.
type counting interface {
	// add counts an event and reads its key's windows.
	add(key string, at, amount int64) totals
}

// traffic is a stream of events of random keys.
type traffic struct {
	random *rand.Rand
	keys   int
	at     int64
	count  int
	name   [20]byte
}

func newTraffic(keys int) *traffic {
	return &traffic{random: rand.New(rand.NewPCG(1, 2)), keys: keys, at: velocityStart}
}

// next is an event. Its key is valid until the next one.
func (t *traffic) next() (key string, at, amount int64) {
	number := t.random.Int64N(int64(t.keys))
	if t.count < velocityFill*t.keys {
		number = int64(t.count % t.keys)
	}
	// On average a key has an event a day, and seven in its longest window.
	if t.count++; t.count%max(t.keys/1440, 1) == 0 {
		t.at += 60
	}
	text := append(t.name[:0], "card-"...)
	text = strconv.AppendInt(text, number, 10)
	return unsafe.String(&text[0], len(text)), t.at, t.random.Int64N(50_000)
}

// ourCounting is the store as programs use it.
type ourCounting struct {
	store *counters.Store
	ops   []counters.Op
}

func newOurCounting() *ourCounting {
	store := counters.New(counters.Config{
		MaxBytes: 4 << 30, Allocate: memory.Allocate, Clock: func() time.Time { return time.Unix(velocityStart, 0) },
	})
	var specs []counters.Spec
	for _, seconds := range velocityWindows {
		window := time.Duration(seconds) * time.Second
		specs = append(specs, counters.Spec{Of: "payment", Kind: counters.Events, By: "card", Window: window},
			counters.Spec{Of: "amount", Kind: counters.Sum, By: "card", Window: window})
	}
	group := store.Declare("bench", specs)[0]
	op := counters.Op{
		Group: group, Add: true, Samples: make([]counters.Sample, len(group.Fields)),
		Readings: make([]counters.Reading, len(group.Queries)),
	}
	op.Samples[0].OK = true
	return &ourCounting{store, []counters.Op{op}}
}

func (c *ourCounting) add(key string, at, amount int64) (t totals) {
	op := &c.ops[0]
	op.By, op.At = key, at*1_000_000
	op.Samples[1] = counters.Sample{OK: true, Value: amount, Unit: "CNY"}
	c.store.Run(c.ops)
	for i := range velocityWindows {
		t[2*i], t[2*i+1] = op.Readings[2*i].Count, op.Readings[2*i+1].Value
	}
	return t
}

// ringCounting is what is commonly written in Go: a map under a mutex, for each
// key a ring of 60 buckets and a running total for each window.
type ringCounting struct {
	mu   sync.Mutex
	keys map[string]*[len(velocityWindows)]ring
}

type ring struct {
	step       int64 // the newest
	count, sum int64
	buckets    [60]struct{ count, sum int64 }
}

func newRingCounting() *ringCounting {
	return &ringCounting{keys: map[string]*[len(velocityWindows)]ring{}}
}

func (c *ringCounting) add(key string, at, amount int64) (t totals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rings := c.keys[key]
	if rings == nil {
		rings = new([len(velocityWindows)]ring)
		c.keys[string(append([]byte(nil), key...))] = rings
	}
	for i := range rings {
		r := &rings[i]
		r.advance(at / (velocityWindows[i] / 60))
		b := &r.buckets[r.step%60]
		b.count++
		b.sum += amount
		r.count++
		r.sum += amount
		t[2*i], t[2*i+1] = r.count, r.sum
	}
	return t
}

// advance drops the buckets that have left the window.
func (r *ring) advance(step int64) {
	if step-r.step >= 60 {
		*r = ring{step: step}
	}
	for r.step < step {
		r.step++
		b := &r.buckets[r.step%60]
		r.count -= b.count
		r.sum -= b.sum
		b.count, b.sum = 0, 0
	}
}

// velocityBench is one implementation and its stream.
type velocityBench struct {
	counting
	traffic *traffic
}

func newVelocityBench(c counting, keys int) *velocityBench {
	b := &velocityBench{c, newTraffic(keys)}
	for range velocityFill * keys {
		b.add(b.traffic.next())
	}
	return b
}

func (b *velocityBench) run() error {
	for range velocityOps {
		b.add(b.traffic.next())
	}
	return nil
}

// Velocity measures events that are counted for one key in three windows of
// count and sum, which are then read.
func Velocity(report *measure.Report) error {
	if err := velocityAgrees(newOurCounting(), newRingCounting()); err != nil {
		return err
	}
	bytes, million := velocityMillion()
	ours, peer := newVelocityBench(newOurCounting(), velocityKeys), newVelocityBench(newRingCounting(), velocityKeys)
	results, err := measure.Compare([]measure.Case{
		{Name: "ours", Ops: velocityOps, Run: ours.run},
		{Name: "map of rings under a mutex", Ops: velocityOps, Run: peer.run},
		{Name: "ours, a million keys", Ops: velocityOps, Run: million.run},
	}, measure.Turns{Least: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	peers, absent := map[string]float64{results[1].Name: 1000 / results[1].PerOp}, []string{}
	if server, rate, err := redisRate(); err != nil {
		absent = append(absent, err.Error())
	} else {
		peers[server] = rate
	}
	return report.Print(measure.Line{
		Bench: "rules/velocity", Unit: "M events/s a core", Ours: 1000 / results[0].PerOp,
		Peer: results[1].Name, PeerValue: 1000 / results[1].PerOp, Higher: true,
		Extra: []measure.Extra{
			{Name: "ns", Value: results[0].PerOp},
			{Name: "allocs", Value: results[0].Allocs},
			{Name: "million_keys", Value: 1000 / results[2].PerOp},
			{Name: "million_keys_bytes_per_key", Value: bytes},
			{Name: "peers", Value: peers},
			{Name: "absent", Value: absent},
		},
	})
}

// velocityMillion is ours with a million keys, and the memory of each.
func velocityMillion() (bytes float64, b *velocityBench) {
	before := heapInUse()
	b = newVelocityBench(newOurCounting(), 1_000_000)
	return float64(heapInUse()-before) / 1_000_000, b
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// velocityAgrees compares what two implementations read after each event.
func velocityAgrees(a, b counting) error {
	left, right := newTraffic(500), newTraffic(500)
	for n := range 40_000 {
		key, at, amount := left.next()
		if x, y := a.add(key, at, amount), b.add(right.next()); x != y {
			return fmt.Errorf("event %d of %s: %v and %v", n, key, x, y)
		}
	}
	return nil
}
