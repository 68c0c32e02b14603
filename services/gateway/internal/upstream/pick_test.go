package upstream

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// built makes a cluster of n endpoints.
func built(t testing.TB, config Config, n int, change func(*edge.Cluster)) *Cluster {
	t.Helper()
	c := edge.Cluster{}
	for i := range n {
		c.Endpoints = append(c.Endpoints, edge.Endpoint{Address: fmt.Sprintf("10.0.%d.%d:80", i/256, i%256)})
	}
	if change != nil {
		change(&c)
	}
	v, err := New(config).Build(map[string]edge.Cluster{"c": c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Cluster("c")
}

func weighted(balance edge.Balance, weights ...uint32) func(*edge.Cluster) {
	return func(c *edge.Cluster) {
		c.Balance = balance
		for i, w := range weights {
			c.Endpoints[i].Weight = w
		}
	}
}

// picks counts who gets how many of n requests, of which up to busy are on
// their way at once.
func picks(t *testing.T, c *Cluster, n, busy int) map[string]int {
	t.Helper()
	counts := map[string]int{}
	var flights []*Endpoint
	for i := range n {
		e, err := c.Pick(mix(uint64(i)), true, nil)
		if err != nil {
			t.Fatal(err)
		}
		counts[e.Address()]++
		e.Begin()
		if flights = append(flights, e); len(flights) > busy {
			flights[0].Done(Outcome{Status: 200}, time.Time{})
			flights = flights[1:]
		}
	}
	return counts
}

func TestEachGetsItsShare(t *testing.T) {
	const n = 60_000
	weights := []uint32{1, 2, 3, 6}
	for _, test := range []struct {
		name      string
		balance   edge.Balance
		weights   []uint32
		busy      int
		tolerance float64
	}{
		{"least request, idle", edge.LeastRequest, weights, 0, 0.05},
		{"least request, busy", edge.LeastRequest, weights, 240, 0.05},
		{"least request, equal", edge.LeastRequest, []uint32{1, 1, 1, 1}, 50, 0.03},
		{"round robin", edge.RoundRobin, weights, 10, 0.001},
		{"round robin, huge weights", edge.RoundRobin, []uint32{1 << 30, 2 << 30, 1 << 30, 1}, 10, 0.02},
		{"random", edge.Random, weights, 10, 0.05},
		{"ring hash", edge.RingHash, weights, 10, 0.25},
	} {
		c := built(t, Config{Seed: 1}, 4, weighted(test.balance, test.weights...))
		counts := picks(t, c, n, test.busy)
		total := 0.0
		for _, w := range test.weights {
			total += float64(w)
		}
		for i, w := range test.weights {
			want := n * float64(w) / total
			if got := float64(counts[c.members[i].Address()]); math.Abs(got-want) > test.tolerance*want+30 {
				t.Errorf("%s: endpoint %d of weight %d got %.0f requests, want about %.0f", test.name, i, w, got, want)
			}
		}
	}
}

func TestTheBusyGetFewer(t *testing.T) {
	c := built(t, Config{Seed: 1}, 10, nil)
	for range 100 {
		c.members[0].Begin()
	}
	if got := picks(t, c, 10_000, 20)[c.members[0].Address()]; got > 200 {
		t.Errorf("the busy one got %d of 10000 requests, want only those for which it was drawn twice, 100", got)
	}
}

func TestTurnsAreSpread(t *testing.T) {
	c := built(t, Config{}, 3, weighted(edge.RoundRobin, 5, 1, 1))
	last, run := "", 0
	for range 70 {
		e, _ := c.Pick(0, false, nil)
		if e.Address() == last {
			run++
		} else {
			last, run = e.Address(), 1
		}
		if run > 3 {
			t.Fatalf("%s has %d turns in a row", last, run)
		}
	}
}

func TestRingMovesFewKeys(t *testing.T) {
	const keys, n = 20_000, 10
	before := built(t, Config{}, n, weighted(edge.RingHash))
	after := built(t, Config{}, n+1, weighted(edge.RingHash))
	newcomer, moved := after.members[n].Address(), 0
	for key := range uint64(keys) {
		a, _ := before.Pick(key, true, nil)
		b, _ := after.Pick(key, true, nil)
		if a.Address() == b.Address() {
			continue
		}
		moved++
		if b.Address() != newcomer {
			t.Fatalf("key %d moves from %s to %s, which were both there", key, a.Address(), b.Address())
		}
	}
	if share := float64(moved) / keys; share < 0.5/(n+1) || share > 1.6/(n+1) {
		t.Errorf("%.3f of the keys move to one endpoint of %d", share, n+1)
	}
}

func TestRingKeysComeBack(t *testing.T) {
	c := built(t, Config{}, 10, weighted(edge.RingHash))
	home := map[uint64]*Endpoint{}
	for key := range uint64(1000) {
		home[key], _ = c.Pick(key, true, nil)
	}
	c.members[3].ejected.Store(true)
	c.group.version.Add(1)
	for key, was := range home {
		now, _ := c.Pick(key, true, nil)
		if now == c.members[3].Endpoint || was != c.members[3].Endpoint && now != was {
			t.Fatalf("key %d is at %s, was at %s", key, now.Address(), was.Address())
		}
	}
	c.members[3].ejected.Store(false)
	c.group.version.Add(1)
	for key, was := range home {
		if now, _ := c.Pick(key, true, nil); now != was {
			t.Fatalf("key %d did not come back", key)
		}
	}
}

func TestRingsAreBounded(t *testing.T) {
	c := built(t, Config{}, 300, func(c *edge.Cluster) {
		c.Balance = edge.RingHash
		for i := range c.Endpoints {
			c.Endpoints[i].Weight = math.MaxUint32
		}
		c.Endpoints[0].Weight = 1
	})
	if n := len(c.ring.points); n > mostPoints+300 || n < mostPoints/2 {
		t.Errorf("ring has %d points", n)
	}
}

func TestOwnZoneIsPreferredWhileHalfOfItIsUsable(t *testing.T) {
	c := built(t, Config{Zone: "a", Seed: 1}, 6, func(c *edge.Cluster) {
		for i := range 4 {
			c.Endpoints[i].Zone = "a"
		}
	})
	near := func() bool {
		counts := picks(t, c, 600, 0)
		return counts[c.members[4].Address()]+counts[c.members[5].Address()] == 0
	}
	ail := func(i int) { c.members[i].ailing.Store(true); c.group.version.Add(1) }
	if !near() {
		t.Error("requests leave the zone")
	}
	ail(0)
	ail(1)
	if !near() {
		t.Error("requests leave the zone while half of it is usable")
	}
	ail(2)
	if near() {
		t.Error("one endpoint gets the requests of a zone of four")
	}
}

func TestPanicUsesAllAndDrainingNone(t *testing.T) {
	c := built(t, Config{Seed: 1}, 4, func(c *edge.Cluster) { c.Endpoints[3].Draining = true })
	for i := range 2 {
		c.members[i].ailing.Store(true)
	}
	c.group.version.Add(1)
	if got := len(picks(t, c, 300, 0)); got != 3 {
		t.Errorf("%d endpoints are used, want the 3 that are not draining, for 1 of 3 usable is below the threshold", got)
	}
	c.members[0].ailing.Store(false)
	c.group.version.Add(1)
	if got := len(picks(t, c, 300, 0)); got != 2 {
		t.Errorf("%d endpoints are used, want the 2 usable ones", got)
	}
	c = built(t, Config{}, 1, func(c *edge.Cluster) { c.Endpoints[0].Draining = true })
	if _, err := c.Pick(0, false, nil); err != ErrNoEndpoint { //nolint:errorlint // the very one
		t.Errorf("error is %v, want ErrNoEndpoint", err)
	}
}

func TestPlainPathDoesNotAllocate(t *testing.T) {
	for _, balance := range []edge.Balance{edge.LeastRequest, edge.RoundRobin, edge.RingHash, edge.Random} {
		c := built(t, Config{}, 10, func(c *edge.Cluster) {
			c.Balance = balance
			c.Outlier, c.Errors = &edge.Outlier{}, &edge.ErrorBreaker{}
		})
		now := time.Now()
		if n := testing.AllocsPerRun(1000, func() { request(c, now) }); n != 0 {
			t.Errorf("balance %d: %.0f allocations a request", balance, n)
		}
	}
	c := built(t, Config{}, 1, func(c *edge.Cluster) { c.MaxRequests = 1 })
	_ = c.Admit(time.Time{})
	if n := testing.AllocsPerRun(1000, func() { _ = c.Admit(time.Time{}) }); n != 0 {
		t.Errorf("refusing allocates %.0f times", n)
	}
}

func request(c *Cluster, now time.Time) {
	if c.Admit(now) != nil {
		panic("refused")
	}
	e, err := c.Pick(uint64(now.UnixNano()), true, nil)
	if err != nil {
		panic(err)
	}
	e.Begin()
	e.Done(Outcome{Status: 200, Took: time.Millisecond}, now)
	c.Release()
}

func BenchmarkRequest(b *testing.B) {
	for _, test := range []struct {
		name    string
		balance edge.Balance
		weights []uint32
	}{
		{"least_request", edge.LeastRequest, nil},
		{"least_request_weighted", edge.LeastRequest, []uint32{1, 2, 3}},
		{"round_robin", edge.RoundRobin, nil},
		{"ring_hash", edge.RingHash, nil},
	} {
		b.Run(test.name, func(b *testing.B) {
			c := built(b, Config{}, 20, func(c *edge.Cluster) {
				weighted(test.balance, test.weights...)(c)
				c.Outlier, c.Errors = &edge.Outlier{}, &edge.ErrorBreaker{}
			})
			now := time.Now()
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					request(c, now)
				}
			})
		})
	}
}
