package velocity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// event is one of a generated stream.
type event struct {
	at     int64 // Unix seconds
	key    string
	unit   string
	amount int64
	value  string
	has    bool // an amount
}

// of is the value of a field.
func (e event) of(field string) int64 {
	if field == "fee" {
		return e.amount / 2
	}
	return e.amount
}

// naive recounts a window from all events, as the package comment promises.
func naive(events []event, now event, spec Spec, steps int) (r Reading) {
	seconds := int64(spec.Window / time.Second)
	step := max((seconds+int64(steps)-1)/int64(steps), 1)
	span := max(seconds/step, 1)
	values := map[string]bool{}
	for _, e := range events {
		if e.key != now.key || e.at/step <= now.at/step-span || e.at/step > now.at/step {
			continue
		}
		switch spec.Kind {
		case Events:
			r.Count++
		case Distinct:
			values[e.value] = true
		case Sum, Max:
			if !e.has || !now.has || e.unit != now.unit {
				continue
			}
			r.Count++
			if spec.Kind == Sum {
				r.Value += e.of(spec.Of)
			} else if r.Count == 1 || e.amount > r.Value {
				r.Value = e.amount
			}
		}
	}
	r.Distinct = int64(len(values))
	return r
}

// samplesFor is what an event has of a group's fields.
func samplesFor(s *Store, g *Group, e event) []Sample {
	samples := make([]Sample, len(g.Fields))
	for i, field := range g.Fields {
		switch field.Kind {
		case Events:
			samples[i].OK = true
		case Sum, Max:
			samples[i] = Sample{OK: e.has, Value: e.of(field.Of), Unit: e.unit}
		case Distinct:
			samples[i] = Sample{OK: true, Hash: s.Hash(e.value)}
		}
	}
	return samples
}

func opOf(s *Store, g *Group, e event, add bool) Op {
	return Op{Group: g, At: e.at * 1e6, By: e.key, Add: add, Samples: samplesFor(s, g, e), Readings: make([]Reading, len(g.Queries))}
}

func someSpecs() []Spec {
	var specs []Spec
	for _, w := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 100 * time.Second, 24 * time.Hour, 30 * 24 * time.Hour} {
		specs = append(specs, Spec{"payment", Events, "card", w}, Spec{"amount", Sum, "card", w},
			Spec{"fee", Sum, "card", w}, Spec{"amount", Max, "card", w}, Spec{"ip", Distinct, "card", w})
	}
	return specs
}

// TestStreamsAgreeWithARecount has rows of all kinds, and in two seeds of three
// such as most keys have, that fit a word.
func TestStreamsAgreeWithARecount(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 7))
		steps := []int{60, 60, 12, 7}[random.IntN(4)]
		specs, digits := someSpecs(), []int{50, 15, 6}[seed%3]
		if digits < 50 {
			without := []Kind{Max, Sum}[seed/3%2]
			specs = slices.DeleteFunc(specs, func(s Spec) bool { return s.Kind == without })
		}
		random.Shuffle(len(specs), func(i, j int) { specs[i], specs[j] = specs[j], specs[i] })
		specs = specs[:1+random.IntN(len(specs))]
		now := int64(1_790_000_000)
		store := New(Config{Steps: steps, Secret: []byte{byte(seed)}, Clock: func() time.Time { return time.Unix(now, 0) }})
		group := store.Declare("s", specs)[0]
		var events []event
		gap := []int64{3, 60, 3600, 40000}[random.IntN(4)]
		for n := range 600 {
			now += random.Int64N(gap)
			if random.IntN(100) == 0 {
				now += random.Int64N(40 * 24 * 3600)
			}
			e := event{
				at: now, key: fmt.Sprint("k", random.IntN(3)), unit: []string{"CNY", "USD"}[random.IntN(2)],
				amount: random.Int64N(1<<random.IntN(digits)) - 100, value: fmt.Sprint(random.IntN(40)), has: random.IntN(4) > 0,
			}
			op := opOf(store, group, e, random.IntN(10) > 0)
			if op.Add {
				events = append(events, e)
			}
			store.Run(one(&op))
			for i, read := range group.Specs {
				want := naive(events, e, specs[read], steps)
				if got := op.Readings[i]; !op.OK || got != want {
					t.Fatalf("seed %d event %d: %v over %v: got %+v, want %+v", seed, n, specs[read].Kind, specs[read].Window, got, want)
				}
			}
		}
	}
}

// TestLateEventsAgreeWithARecount reads one window only, which is exact for
// late events too, but for values that were seen again since.
func TestLateEventsAgreeWithARecount(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 8))
		now := int64(1_790_000_000)
		store := New(Config{Secret: []byte{byte(seed)}, Clock: func() time.Time { return time.Unix(now, 0) }})
		specs := []Spec{{"payment", Events, "card", time.Hour}, {"amount", Sum, "card", time.Hour}, {"amount", Max, "card", time.Hour}}
		group := store.Declare("s", specs)[0]
		var events []event
		newest, late := map[string]int64{}, int64(0)
		for n := range 600 {
			now += random.Int64N(120)
			e := event{at: now - random.Int64N(2)*random.Int64N(5000), key: fmt.Sprint("k", random.IntN(3)), unit: "CNY", amount: random.Int64N(1000), has: true}
			op := opOf(store, group, e, true)
			store.Run(one(&op))
			if e.at/60 <= newest[e.key]/60-60 {
				late++
				continue
			}
			newest[e.key] = max(newest[e.key], e.at)
			events = append(events, e)
			kept := slices.DeleteFunc(slices.Clone(events), func(old event) bool { return old.at/60 <= newest[e.key]/60-60 })
			for i, read := range group.Specs {
				got, least, most := op.Readings[i], naive(kept, e, specs[read], 60), naive(events, e, specs[read], 60)
				if got.Count < least.Count || got.Count > most.Count || e.at == newest[e.key] && got != most {
					t.Fatalf("seed %d event %d: %v: got %+v, want %+v to %+v", seed, n, specs[read].Kind, got, least, most)
				}
			}
		}
		if stats := store.Stats(); stats.Late != late {
			t.Errorf("seed %d: %d late events, want %d", seed, stats.Late, late)
		}
	}
}

// one is an op that Run changes in place.
func one(op *Op) []Op { return unsafe.Slice(op, 1) }
