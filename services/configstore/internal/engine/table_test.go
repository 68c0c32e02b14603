//go:build wan

package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/wan"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// What the table is measured with.
const (
	tableWriters   = 4
	tableCalm      = 30 * time.Second // without stalls, for the latency of commits
	tableStall     = 2 * time.Second
	tableFailovers = 7
	tablePatience  = 5 * time.Second // of who writes
)

// cell is one measured setting.
type cell struct {
	name     string
	profile  engine.Profile
	delay    time.Duration
	commits  []time.Duration // without stalls
	minutes  float64         // with stalls
	changes  uint64          // of the leader meanwhile
	written  int
	failed   int
	failover []time.Duration
}

// TestWANTable measures profiles between members that are far apart, and
// prints a table (`make wan`). BACKLOT_WAN is how long each setting has stalls;
// default 2 minutes.
func TestWANTable(t *testing.T) {
	stalls := 2 * time.Minute
	if text := os.Getenv("BACKLOT_WAN"); text != "" {
		var err error
		if stalls, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	settings := map[string]engine.Profile{"500/3000": {Heartbeat: 500 * time.Millisecond, Election: 3 * time.Second}}
	for name, profile := range engine.Profiles {
		settings[name] = profile
	}
	var mu sync.Mutex
	var cells []*cell
	t.Run("all", func(t *testing.T) {
		for _, delay := range []time.Duration{75 * time.Millisecond, 150 * time.Millisecond} {
			for name, profile := range settings {
				t.Run(fmt.Sprintf("%s at %v", name, delay), func(t *testing.T) {
					t.Parallel()
					c := &cell{name: name, profile: profile, delay: delay}
					c.measure(t, stalls)
					mu.Lock()
					defer mu.Unlock()
					cells = append(cells, c)
				})
			}
		}
	})
	slices.SortFunc(cells, func(a, b *cell) int {
		if a.delay != b.delay {
			return int(a.delay - b.delay)
		}
		return int(a.profile.Election + a.profile.Heartbeat - b.profile.Election - b.profile.Heartbeat)
	})
	var table strings.Builder
	table.WriteString("| one way | profile | heartbeat/election | commit p50 | p99 | leader changes a minute | failed writes | failover p50 | longest |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range cells {
		fmt.Fprintf(&table, "| %v | `%s` | %d/%d ms | %d ms | %d ms | %.1f | %d of %d | %.1f s | %.1f s |\n",
			c.delay, c.name, c.profile.Heartbeat.Milliseconds(), c.profile.Election.Milliseconds(),
			part(c.commits, 0.5).Milliseconds(), part(c.commits, 0.99).Milliseconds(), float64(c.changes)/c.minutes, c.failed, c.failed+c.written,
			part(c.failover, 0.5).Seconds(), part(c.failover, 1).Seconds())
	}
	t.Logf("\n%s", table.String())
	for _, c := range cells {
		switch c.name {
		case "wan", "far":
			if c.changes > 0 {
				t.Errorf("%s at %v: the leader changed %d times", c.name, c.delay, c.changes)
			}
		case "lan":
			if c.changes == 0 {
				t.Errorf("lan at %v: the stalls change no leader, so the table proves nothing", c.delay)
			}
		}
	}
}

// part is the quantile q of times, 0 where there are none.
func part(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (m *cell) measure(t *testing.T, stalls time.Duration) {
	c := newTrio(t, "a", "b", "c")
	c.foundAs(engine.Config{Cluster: engine.Cluster{Profile: m.profile}})
	c.network.SetLink(wan.Link{Delay: m.delay, Jitter: m.delay / 5})
	c.leader(c.names...)
	pass(t.Context(), 2*m.profile.Election)

	m.commits, _ = m.write(t.Context(), c, tableCalm)
	term, began := c.term(), time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var took []time.Duration
		took, m.failed = m.write(t.Context(), c, stalls)
		m.written = len(took)
	}()
	random := rand.New(rand.NewPCG(1, uint64(m.delay)))
	for time.Since(began) < stalls {
		pass(t.Context(), 5*time.Second+time.Duration(random.Int64N(int64(5*time.Second))))
		c.network.Stall(tableStall)
	}
	<-ended
	m.minutes = time.Since(began).Minutes()
	m.changes = c.term() - term
	for range tableFailovers {
		pass(t.Context(), 2*m.profile.Election)
		m.failover = append(m.failover, m.fail(c))
	}
}

// term rises with each election that takes place; PreVote asks before.
func (c *trio) term() (newest uint64) {
	for _, e := range c.members {
		newest = max(newest, e.Status().Term)
	}
	return newest
}

// write has writers beside the leader, one write at a time each.
func (m *cell) write(ctx context.Context, c *trio, length time.Duration) (took []time.Duration, failed int) {
	until := time.Now().Add(length)
	leader := c.leader(c.names...)
	var mu sync.Mutex
	var writers sync.WaitGroup
	for n := range tableWriters {
		writers.Go(func() {
			for time.Now().Before(until) {
				begin := time.Now()
				err := tryPut(ctx, c.members[leader], fmt.Sprint("/writer/", n), "value", tablePatience)
				mu.Lock()
				if err == nil {
					took = append(took, time.Since(begin))
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	return took, failed
}

// fail takes the leader away, which is as if it had died for the others, and
// is how long it takes until one of these has a write committed.
func (m *cell) fail(c *trio) time.Duration {
	old := c.leader(c.names...)
	others := c.others(old)
	c.network.Isolate(old, others...)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	committed := make(chan struct{}, 1)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			writers.Go(func() {
				if tryPut(ctx, c.members[others[n%len(others)]], "/failover", "value", tablePatience) == nil {
					select {
					case committed <- struct{}{}:
					default:
					}
				}
			})
		case <-committed:
			took := time.Since(begin)
			c.network.Heal()
			c.leader(c.names...)
			return took
		case <-ctx.Done():
			c.Errorf("%s: no write for a minute", m.name)
			c.network.Heal()
			return time.Minute
		}
	}
}

func pass(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
