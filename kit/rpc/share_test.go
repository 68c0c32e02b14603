package rpc

import (
	"math/rand/v2"
	"testing"
	"time"
)

// picks is how often each address is picked while nothing is in flight.
func picks(p *pool, turns int) map[string]int {
	got := map[string]int{}
	for range turns {
		m := p.pick(func(Endpoint) bool { return true })
		got[m.Address]++
		m.release(false)
	}
	return got
}

func poolOf(zone string, endpoints ...Endpoint) *pool {
	config := ClientConfig{Zone: zone, Resolver: Static(map[string][]Endpoint{"shop": endpoints})}.withDefaults()
	return &pool{config: &config, service: "shop"}
}

// TestSharesAreExactAndSpread has random weights: over as many turns as their
// sum each endpoint is picked as often as its weight says, and no other window
// is off by more than a few.
func TestSharesAreExactAndSpread(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var endpoints []Endpoint
		total := 0
		for i := range 1 + random.IntN(5) {
			e := Endpoint{Address: string(rune('a' + i)), Weight: 1 + random.IntN(1000)}
			total += e.Weight
			endpoints = append(endpoints, e)
		}
		p := poolOf("", endpoints...)
		got := picks(p, total*len(endpoints))
		for _, e := range endpoints {
			want := e.Weight * len(endpoints)
			if len(p.members().near.ends) == 0 {
				want = total
			}
			if got[e.Address] != want {
				t.Fatalf("seed %d, %v: %s picked %d times, want %d", seed, endpoints, e.Address, got[e.Address], want)
			}
		}
		part := picks(p, 100)
		for _, e := range endpoints {
			if want := 100 * e.Weight / total; part[e.Address] < want-12 || part[e.Address] > want+12 {
				t.Errorf("seed %d, %v: %s picked %d of 100, want about %d", seed, endpoints, e.Address, part[e.Address], want)
			}
		}
	}
}

func TestLoadIsComparedByWeight(t *testing.T) {
	p := poolOf("", Endpoint{Address: "small", Weight: 100}, Endpoint{Address: "large", Weight: 300})
	held := map[string]int{}
	for range 40 {
		held[p.pick(func(Endpoint) bool { return true }).Address]++
	}
	if held["small"] != 10 || held["large"] != 30 {
		t.Errorf("in flight: %v", held)
	}
}

func TestCallersKeepToTheirZoneUntilItIsFullOrDown(t *testing.T) {
	now := time.Unix(0, 0)
	p := poolOf("east", Endpoint{Address: "e1", Zone: "east"}, Endpoint{Address: "e2", Zone: "east"}, Endpoint{Address: "w", Zone: "west"})
	p.config.Clock = func() time.Time { return now }
	if got := picks(p, 100); got["w"] != 0 || got["e1"] != 50 || got["e2"] != 50 {
		t.Errorf("idle: %v", got)
	}
	every := func(Endpoint) bool { return true }
	held := map[string]int{}
	for range 200 {
		held[p.pick(every).Address]++
	}
	if held["w"] == 0 || held["e1"] <= held["w"] || held["e2"] <= held["w"] {
		t.Errorf("200 in flight: %v", held)
	}
	p = poolOf("east", Endpoint{Address: "e", Zone: "east"}, Endpoint{Address: "w", Zone: "west"})
	p.config.Clock = func() time.Time { return now }
	p.pick(every).release(true) // the one in the zone is not reached
	if got := picks(p, 10); got["w"] != 10 {
		t.Errorf("zone down: %v", got)
	}
	now = now.Add(2 * ejection)
	if got := picks(p, 10); got["e"] != 10 {
		t.Errorf("zone up again: %v", got)
	}
	if got := picks(poolOf("", Endpoint{Address: "e", Zone: "east"}, Endpoint{Address: "w", Zone: "west"}), 10); got["e"] != 5 {
		t.Errorf("a caller in no zone: %v", got)
	}
}
