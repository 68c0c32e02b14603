package runner_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TestSimulation runs two coordinators on one store, with participants that
// refuse, fail and stall, a store that fails before and after its writes, and
// deaths at random times; in the end every transaction has come to one end
// everywhere. BACKLOT_SEED=n replays one seed: what happens is drawn from it,
// the interleaving of goroutines is not.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(60)
	if text := os.Getenv("BACKLOT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	ends := map[tcc.State]int{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed, ends) })
	}
	if count > 1 && (ends[tcc.Confirmed] == 0 || ends[tcc.Cancelled] == 0) {
		t.Errorf("the simulation does not reach both ends: %v", ends)
	}
}

type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) intN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

func simulate(t *testing.T, seed uint64, ends map[tcc.State]int) {
	d := &dice{random: rand.New(rand.NewPCG(seed, 7))}
	m := newMemory()
	p := newParticipants(m)
	calm := make(chan struct{})
	p.answer = func(_ runner.Key, _ tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration) {
		took := time.Duration(d.intN(40)) * time.Millisecond
		select {
		case <-calm:
			return tcc.Succeeded, took
		default:
		}
		switch roll := d.intN(20); {
		case roll == 0:
			return tcc.Succeeded, 20 * time.Second
		case roll < 3:
			return tcc.Failed, took
		case roll == 3 && phase == tcc.Try:
			return tcc.Refused, took
		}
		return tcc.Succeeded, took
	}
	boot := func(host string, rate float64) *coordinator {
		link := &connection{memory: m, random: rand.New(rand.NewPCG(seed, uint64(d.intN(1<<30)))), rate: rate}
		return start(t, m, p, link, runner.Config{Host: host, Attempts: 3, Lease: 900 * time.Millisecond, MaxActive: 16, Seed: seed})
	}
	hosts := []*coordinator{boot("0", 0.05), boot("1", 0.05)}
	const transactions = 20
	for i := range transactions {
		s := submission(strconv.Itoa(i), runner.WaitAccepted)
		s.Timeout = time.Duration(1+d.intN(3)) * time.Second
		_, _ = hosts[d.intN(2)].Submit(t.Context(), s) // may fail: it is asked again below
		pass(time.Duration(d.intN(60)) * time.Millisecond)
		if d.intN(5) == 0 {
			victim := d.intN(2)
			hosts[victim].link.cut()
			hosts[victim] = boot(strconv.Itoa(victim), 0.05)
		}
	}
	pass(time.Duration(d.intN(3000)) * time.Millisecond)
	close(calm)
	for _, c := range hosts {
		c.link.cut()
	}
	last := boot("0", 0)
	for i := range transactions {
		finish(t, seed, last, p, submission(strconv.Itoa(i), runner.WaitConfirmed))
		ends[m.rows[key(strconv.Itoa(i))].State]++
	}
	for _, fault := range p.faults {
		t.Errorf("replay with BACKLOT_SEED=%d: %s", seed, fault)
	}
}

// finish brings one transaction to its end, as its caller and an operator do.
func finish(t *testing.T, seed uint64, c *coordinator, p *participants, s runner.Submission) {
	for range 10 {
		status, err := c.Submit(t.Context(), s)
		if err == nil && status.State != tcc.Parked {
			break
		}
		if err != nil {
			pass(500 * time.Millisecond)
			continue
		}
		if _, err := c.Retry(t.Context(), s.Key); err != nil {
			t.Errorf("replay with BACKLOT_SEED=%d: retry: %v", seed, err)
		}
	}
	if err := p.settled(s.Key); err != nil {
		t.Errorf("replay with BACKLOT_SEED=%d: %v", seed, err)
	}
}
