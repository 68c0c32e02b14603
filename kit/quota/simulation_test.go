package quota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const step = 5 * time.Millisecond

// simulation is replicas that share limits, with calls that take time, fail,
// and find a ledger that has forgotten everything.
type simulation struct {
	t        *testing.T
	seed     uint64
	random   *rand.Rand
	now      time.Time
	ledger   *Ledger
	down     bool
	loss     float64 // of calls
	replicas []*replica
	rate     float64
	burst    float64
	excess   float64 // of what was let through over the rate, over all times until now
	most     float64 // that it was
}

// replica takes at a rate.
type replica struct {
	name   string
	client *Client
	limit  *Limit
	demand float64
	due    float64 // requests
	own    float64 // tokens of its own share, as a gateway's own bucket has them
	took   time.Time
	every  int // steps between its calls, on average
	passed int
	kinds  [kinds]int
}

func simulate(t *testing.T, seed uint64, rate, burst float64, demands ...float64) *simulation {
	s := &simulation{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0),
		ledger: NewLedger(LedgerConfig{}), rate: rate, burst: burst,
	}
	for i, demand := range demands {
		r := &replica{name: fmt.Sprint("r", i), demand: demand, own: burst, took: s.now, every: 4}
		r.client = NewClient(ClientConfig{
			Clock:    func() time.Time { return s.now },
			Replicas: func() int { return len(demands) },
			Ask: func(_ context.Context, asks []Ask) (Answer, error) {
				if s.down || s.random.Float64() < s.loss/2 {
					return Answer{}, errors.New("away")
				}
				answer := s.ledger.Lease(r.name, asks, s.now)
				if s.random.Float64() < s.loss/2 {
					return Answer{}, errors.New("answer is lost")
				}
				return answer, nil
			},
		})
		r.limit = r.client.Limit("limit", rate, burst)
		s.replicas = append(s.replicas, r)
	}
	return s
}

func (s *simulation) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(step) {
		s.excess = max(s.excess-s.rate*step.Seconds(), 0)
		for _, r := range s.replicas {
			r.due += r.demand * step.Seconds() * 2 * s.random.Float64()
			for ; r.due >= 1; r.due-- {
				s.take(r)
			}
			if s.random.IntN(r.every) == 0 {
				_ = r.client.Exchange(s.t.Context())
			}
			if s.random.IntN(int(Lifetime/step)) == 0 {
				r.client.sweep(s.now)
			}
		}
	}
}

// take decides as a gateway does, its own share where it has no slice.
func (s *simulation) take(r *replica) {
	grant := r.limit.Take([]byte("key"), s.now)
	r.kinds[grant.Kind]++
	switch grant.Kind {
	default:
	case Refused:
		if grant.Wait <= 0 {
			s.t.Fatalf("seed %d: refused without a wait", s.seed)
		}
		return
	case Asked, Away:
		r.own = min(r.own+s.now.Sub(r.took).Seconds()*s.rate, s.burst)
		r.took = s.now
		cost := min(1/r.limit.Share(), s.burst)
		if r.own < cost {
			return
		}
		r.own -= cost
	}
	r.passed++
	s.excess++
	s.most = max(s.most, s.excess)
}

// bound is the package's promise, as excess over the rate.
func (s *simulation) bound() float64 {
	return s.burst + s.rate*Lifetime.Seconds() + 2*max(float64(len(s.replicas)), s.burst)
}

func (s *simulation) reset() {
	for _, r := range s.replicas {
		r.passed, r.kinds = 0, [kinds]int{}
	}
}

func (s *simulation) passed() (n int) {
	for _, r := range s.replicas {
		n += r.passed
	}
	return n
}

func TestReplicasTogetherKeepTheRate(t *testing.T) {
	for _, test := range []struct {
		name        string
		rate, burst float64
		demands     []float64
	}{
		{"one alone", 100, 100, []float64{500, 0, 0}},
		{"all alike", 100, 100, []float64{200, 200, 200}},
		{"large and small", 100, 20, []float64{1000, 50, 5, 0.5}},
		{"slow limit", 2, 5, []float64{3, 3, 3}},
		{"very slow limit", 0.1, 3, []float64{1, 1}},
		{"many replicas, small burst", 50, 5, []float64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}},
		{"fast limit", 2000, 300, []float64{2000, 1000}},
	} {
		for seed := range uint64(2) {
			s := simulate(t, seed, test.rate, test.burst, test.demands...)
			s.run(10 * time.Second)
			s.reset()
			const long = 20 * time.Second
			s.run(long)
			if s.most > s.bound() {
				t.Errorf("%s, seed %d: %.0f over the rate, bound is %.0f", test.name, seed, s.most, s.bound())
			}
			want := s.rate * long.Seconds()
			if got := float64(s.passed()); got < 0.9*want-2 || got > 1.02*want+s.burst {
				t.Errorf("%s, seed %d: %.0f are let through, want about %.0f", test.name, seed, got, want)
			}
			t.Logf("%s: %.0f over the rate of a bound of %.0f; %d of %.0f let through", test.name, s.most, s.bound(), s.passed(), want)
		}
	}
}

func TestEachReplicaGetsWhatIsFair(t *testing.T) {
	const seconds = 40
	for _, test := range []struct {
		rate, burst float64
		demands     []float64
		want        []float64
		lazy        bool // the last asks ten times less often
	}{
		{90, 20, []float64{200, 200, 200}, []float64{30, 30, 30}, false},
		{90, 20, []float64{500, 60, 10}, []float64{40, 40, 10}, false},
		{90, 20, []float64{300, 300, 0.5}, []float64{44.75, 44.75, 0.5}, false},
		{5, 5, []float64{100, 100, 100, 0.5}, []float64{1.5, 1.5, 1.5, 0.5}, false},
		{90, 400, []float64{300, 300}, []float64{45, 45}, true},
	} {
		s := simulate(t, 7, test.rate, test.burst, test.demands...)
		if test.lazy {
			s.replicas[len(s.replicas)-1].every = 40
		}
		s.run(10 * time.Second)
		s.reset()
		s.run(seconds * time.Second)
		for i, r := range s.replicas {
			if got := float64(r.passed) / seconds; got < 0.75*test.want[i] || got > 1.25*test.want[i] {
				t.Errorf("demands %v: replica %d gets %.2f a second, want about %.2f", test.demands, i, got, test.want[i])
			}
		}
	}
}

func TestAllAtOnceAreBoundedToo(t *testing.T) {
	s := simulate(t, 3, 50, 300, 1, 1, 1)
	s.run(5 * time.Second)
	for range 2000 {
		for _, r := range s.replicas {
			s.take(r)
		}
	}
	if s.most > s.burst+3 {
		t.Errorf("%.0f pass at once, before anybody can ask; a bucket holds %.0f", s.most, s.burst)
	}
}

func TestWhatFitsIsNeverRefused(t *testing.T) {
	s := simulate(t, 3, 100, 100, 20, 20, 20, 3, 0.2)
	s.run(60 * time.Second)
	for i, r := range s.replicas {
		if r.kinds[Refused] > 0 || r.kinds[Asked] > 2 {
			t.Errorf("replica %d of a limit that is not reached: refused %d times, unknown %d times", i, r.kinds[Refused], r.kinds[Asked])
		}
	}
}

func TestLostCallsAndForgetfulLedgersKeepTheBound(t *testing.T) {
	worst := 0.0
	for seed := range uint64(8) {
		s := simulate(t, seed, 50, 30, 100, 60, 20, 1)
		s.loss = 0.2
		restarts := 0
		for range 60 {
			for _, r := range s.replicas {
				if s.random.IntN(5) == 0 {
					r.demand = []float64{0, 0.5, 20, 200}[s.random.IntN(4)]
				}
			}
			if s.random.IntN(10) == 0 {
				s.ledger = NewLedger(LedgerConfig{})
				restarts++
			}
			s.run(time.Second)
		}
		// Beside the ledger's: the shares of replicas whose call was lost, which
		// is one bucket more, and what each new ledger forgives.
		if bound := s.bound() + s.burst + float64(restarts)*s.burst; s.most > bound {
			t.Errorf("seed %d: %.0f over the rate, bound is %.0f", seed, s.most, bound)
		}
		worst = max(worst, s.most)
	}
	t.Logf("worst: %.0f over the rate", worst)
}

func TestSharesHoldTheRateWhileTheLedgerIsAway(t *testing.T) {
	s := simulate(t, 5, 60, 30, 100, 100, 100)
	s.run(10 * time.Second)
	s.down = true
	s.run(5 * time.Second)
	s.reset()
	s.run(20 * time.Second)
	if got := s.passed(); got < 1100 || got > 1250 {
		t.Errorf("%d are let through in 20 s, want about 1200", got)
	}
	for i, r := range s.replicas {
		if r.kinds[Away] == 0 || r.kinds[Refused] > 0 {
			t.Errorf("replica %d: %v", i, r.kinds)
		}
	}
	s.down = false
	s.run(5 * time.Second)
	s.reset()
	s.run(20 * time.Second)
	if got := s.passed(); got < 1080 || got > 1250 {
		t.Errorf("%d are let through in 20 s after it came back, want about 1200", got)
	}
	if s.replicas[0].kinds[Away] > 0 {
		t.Error("it is still away")
	}
	if s.most > s.bound()+s.burst {
		t.Errorf("%.0f over the rate, bound is %.0f", s.most, s.bound()+s.burst)
	}
}

func TestUnusedTokensComeBackAndKeysAreForgotten(t *testing.T) {
	s := simulate(t, 9, 1, 100, 40, 0)
	s.run(time.Second)
	for _, r := range s.replicas {
		r.demand = 0
	}
	s.run(20 * time.Second)
	for _, r := range s.replicas {
		if n := r.client.keys(); n != 0 || len(r.client.limits) != 0 {
			t.Errorf("%d keys are kept", n)
		}
	}
	b := s.ledger.buckets[bucketKey{"limit", "key"}]
	b.fill(s.now)
	want := s.burst - float64(s.passed()) + 21*s.rate
	if b.level < want-3 || b.level > want+3 {
		t.Errorf("bucket holds %.1f after %d were let through, want about %.1f", b.level, s.passed(), want)
	}
}
