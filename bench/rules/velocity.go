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
	velocityOps   = 20_000 // keys counted in one run
	velocityFill  = 4      // events of each key before it is measured
)

// velocityBy are the keys of an event.
var velocityBy = [4]string{"card", "ip", "device", "viewer"}

// velocityWindows are the lengths in seconds; each counts and sums.
var velocityWindows = [3]int64{3600, 24 * 3600, 7 * 24 * 3600}

// totals are what is read after an event: count and sum of each window.
type totals [2 * len(velocityWindows)]int64

// counting is an implementation of sliding windows in 60 steps.
type counting interface {
	// add counts an event for its keys and reads their windows.
	add(e *visit) [len(velocityBy)]totals
}

// visit is an event with its keys.
type visit struct {
	keys       [len(velocityBy)]string
	at, amount int64
}

// traffic is a stream of events of random keys.
type traffic struct {
	random *rand.Rand
	keys   int // of each kind
	count  int
	event  visit
	names  [len(velocityBy)][20]byte
}

func newTraffic(keys int) *traffic {
	return &traffic{random: rand.New(rand.NewPCG(1, 2)), keys: keys / len(velocityBy), event: visit{at: velocityStart}}
}

// next is an event, which is valid until the next one.
func (t *traffic) next() *visit {
	e := &t.event
	for i := range e.keys {
		number := t.random.Int64N(int64(t.keys))
		if t.count < velocityFill*t.keys {
			number = int64(t.count % t.keys)
		}
		text := append(t.names[i][:0], velocityBy[i]...)
		text = strconv.AppendInt(append(text, '-'), number, 10)
		e.keys[i] = unsafe.String(&text[0], len(text))
	}
	// On average a key has an event a day, and seven in its longest window.
	if t.count++; t.count%max(t.keys/1440, 1) == 0 {
		e.at += 60
	}
	e.amount = t.random.Int64N(50_000)
	return e
}

// ourCounting is the store as programs use it: the keys of an event in one
// call, or with apart in a call each.
type ourCounting struct {
	store *counters.Store
	ops   []counters.Op
	apart bool
}

func newOurCounting(apart bool) *ourCounting {
	c := &ourCounting{apart: apart, store: counters.New(counters.Config{
		MaxBytes: 4 << 30, Allocate: memory.Allocate, Clock: func() time.Time { return time.Unix(velocityStart, 0) },
	})}
	var specs []counters.Spec
	for _, by := range velocityBy {
		for _, seconds := range velocityWindows {
			window := time.Duration(seconds) * time.Second
			specs = append(specs, counters.Spec{Of: "payment", Kind: counters.Events, By: by, Window: window},
				counters.Spec{Of: "amount", Kind: counters.Sum, By: by, Window: window})
		}
	}
	for _, group := range c.store.Declare("bench", specs) {
		op := counters.Op{
			Group: group, Add: true, Samples: make([]counters.Sample, len(group.Fields)),
			Readings: make([]counters.Reading, len(group.Queries)),
		}
		op.Samples[0].OK = true
		c.ops = append(c.ops, op)
	}
	return c
}

func (c *ourCounting) add(e *visit) (all [len(velocityBy)]totals) {
	for i := range c.ops {
		op := &c.ops[i]
		op.By, op.At = e.keys[i], e.at*1_000_000
		op.Samples[1] = counters.Sample{OK: true, Value: e.amount, Unit: "CNY"}
		if c.apart {
			c.store.Run(c.ops[i : i+1])
		}
	}
	if !c.apart {
		c.store.Run(c.ops)
	}
	for i := range c.ops {
		for w := range velocityWindows {
			all[i][2*w], all[i][2*w+1] = c.ops[i].Readings[2*w].Count, c.ops[i].Readings[2*w+1].Value
		}
	}
	return all
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

func (c *ringCounting) add(e *visit) (all [len(velocityBy)]totals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, key := range e.keys {
		rings := c.keys[key]
		if rings == nil {
			rings = new([len(velocityWindows)]ring)
			c.keys[string(append([]byte(nil), key...))] = rings
		}
		for i := range rings {
			r := &rings[i]
			r.advance(e.at / (velocityWindows[i] / 60))
			b := &r.buckets[r.step%60]
			b.count++
			b.sum += e.amount
			r.count++
			r.sum += e.amount
			all[k][2*i], all[k][2*i+1] = r.count, r.sum
		}
	}
	return all
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
	for range velocityFill * keys / len(velocityBy) {
		b.add(b.traffic.next())
	}
	return b
}

func (b *velocityBench) run() error {
	for range velocityOps / len(velocityBy) {
		b.add(b.traffic.next())
	}
	return nil
}

// Velocity measures events that are counted for four keys, each in three
// windows of count and sum, which are then read. A key counts as one update
// and read. Programs give a store all keys of an event in one call: what that
// spares is ours to have, and what it takes without is told beside it.
func Velocity(report *measure.Report) error {
	if err := velocityAgrees(newOurCounting(false), newRingCounting()); err != nil {
		return err
	}
	bytes, million := velocityMillion()
	ours, peer := newVelocityBench(newOurCounting(false), velocityKeys), newVelocityBench(newRingCounting(), velocityKeys)
	apart := newVelocityBench(newOurCounting(true), velocityKeys)
	results, err := measure.Compare([]measure.Case{
		{Name: "ours", Ops: velocityOps, Run: ours.run},
		{Name: "map of rings under a mutex", Ops: velocityOps, Run: peer.run},
		{Name: "ours, a million keys", Ops: velocityOps, Run: million.run},
		{Name: "ours, a key at a time", Ops: velocityOps, Run: apart.run},
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
		Bench: "rules/velocity", Unit: "M updates and reads/s a core", Ours: 1000 / results[0].PerOp,
		Peer: results[1].Name, PeerValue: 1000 / results[1].PerOp, Higher: true,
		Extra: []measure.Extra{
			{Name: "ns", Value: results[0].PerOp},
			{Name: "allocs", Value: results[0].Allocs},
			{Name: "key_at_a_time", Value: 1000 / results[3].PerOp},
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
	b = newVelocityBench(newOurCounting(false), 1_000_000)
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
	for n := range 10_000 {
		e := left.next()
		if x, y := a.add(e), b.add(right.next()); x != y {
			return fmt.Errorf("event %d of %v: %v and %v", n, e.keys, x, y)
		}
	}
	return nil
}
